"""What a training is told: a TOML file with a table for every part that is learned."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from troupe.errors import SettingsError

__all__ = ["OPTIMIZERS", "PRECISIONS", "WORLD", "ClipsConfig", "PartConfig", "TrainConfig", "read_train_config"]

PRECISIONS = ("float32", "bf16")
OPTIMIZERS = ("adamw", "muon")
WORLD = "world"
"""The source of clips that are drawn."""
_ELASTIC = ("steps", "save_every", "loaders", "accumulate")
"""What may change between two goes at the same training."""


@dataclass(frozen=True)
class PartConfig:
    """How one part is learned.

    Attributes:
        part: what is learned, a name of `tasks.train.parts.PARTS`.
        steps: updates of the values.
        batch: examples an update, over all workers.
        rate: learning rate, after `warmup` steps of a linear rise and before a fall along half a cosine to `rate_end`
            times it.
        weight_decay: decoupled.
        clip: norm to which the gradient is cut.
        ema: decay of the values' moving average, which is what is kept in the end; 0 keeps the last values.
        precision: of the forward pass, `float32` or `bf16`.
        optimizer: `adamw`, or `muon`, which needs fewer steps where there are many matrices (`tasks.train.muon`).
        accumulate: forward and backward passes that an update is split into, for a device with little memory.
        seed: of the first values and of all examples.
        save_every: steps between two checkpoints.
        loaders: processes that make examples; 0 makes them between the steps.
        options: what the part itself is told.
    """

    part: str
    steps: int
    batch: int = 8
    rate: float = 1e-4
    warmup: int = 0
    rate_end: float = 0.05
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.0
    precision: str = "float32"
    optimizer: str = "adamw"
    accumulate: int = 1
    seed: int = 0
    save_every: int = 500
    loaders: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For json."""
        return asdict(self)

    def check_share(self, workers: int) -> None:
        """
        Raises:
            SettingsError: so many workers cannot share a batch evenly, in so many passes each.
        """
        if self.batch % (workers * self.accumulate):
            raise SettingsError(
                f"{self.part}: a batch of {self.batch} cannot be shared by {workers} workers "
                f"in {self.accumulate} passes each"
            )

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """What of an earlier recipe (`as_dict`) would have made other values of the same steps; a line each."""
        own = self.as_dict()
        # What an earlier recipe could not be told yet, was as it is by default.
        was = PartConfig(self.part, self.steps).as_dict() | dict(other)
        return [
            f"{name}: was {was.get(name)!r}, is {own[name]!r}"
            for name in own
            if name not in _ELASTIC and own[name] != was.get(name)
        ]


@dataclass(frozen=True)
class ClipsConfig:
    """What the denoiser learns from, prepared once.

    Attributes:
        source: `world` for the miniature's, else the URI of a table of users' clips, CSV, JSONL or Parquet.
        count: clips of the world to learn from; another twentieth, 4 at least, are kept for measuring.
        frames: of every clip of the world; the most of one of users' clips, longer ones are cut.
        cast: people who give each performance of the world.
        sittings: frames of each that may serve as the portrait.
        detector: a face detector instead of the weights directory's own, for users' clips.
    """

    source: str
    count: int = 1000
    frames: int = 50
    cast: int = 2
    sittings: int = 8
    detector: str = ""


@dataclass(frozen=True)
class TrainConfig:
    """A whole training file.

    Attributes:
        weights: the weights directory that the parts are written to, and that later parts read earlier ones from.
        base: a weights directory to start from; copied to `weights` when that is new.
        folder: where checkpoints, curves and results are kept, a folder a part.
        recipes: in the order in which they are learned.
        clips: for those parts that learn from clips.
    """

    weights: Path
    base: Path | None
    folder: Path
    recipes: tuple[PartConfig, ...]
    clips: ClipsConfig | None = None

    def of(self, parts: tuple[str, ...]) -> tuple[PartConfig, ...]:
        """The recipes of these parts; all if none is named.

        Raises:
            SettingsError: the file has no such part.
        """
        names = [recipe.part for recipe in self.recipes]
        if unknown := [part for part in parts if part not in names]:
            raise SettingsError(f"the training has no part {', '.join(unknown)}; it has {', '.join(names)}")
        return tuple(recipe for recipe in self.recipes if not parts or recipe.part in parts)


def read_train_config(path: Path, known: tuple[str, ...]) -> TrainConfig:
    """Read a training file. Paths in it are relative to the working directory.

    Args:
        known: the parts that can be learned.

    Raises:
        SettingsError: no such file, no TOML, or entries that have no meaning, all listed at once.
    """
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} cannot be read as a training file: {error}") from error
    problems = [
        f"{name}: neither a path nor a part ({', '.join(known)})"
        for name in table
        if name not in ("weights", "base", "folder", "clips", *known)
    ]
    paths = {name: table.get(name) for name in ("weights", "base", "folder")}
    problems += [f"{name}: not a path" for name, value in paths.items() if value is not None and type(value) is not str]
    if paths["weights"] is None:
        problems.append("weights: missing; name the weights directory that is to be written")
    recipes = [_recipe(name, table[name], problems) for name in table if name in known]
    clips = _clips(table["clips"], problems) if "clips" in table else None
    if not recipes and not problems:
        problems.append(f"no part to learn; add a table such as [{known[0]}]")
    if problems:
        raise SettingsError("\n  ".join((f"{path} cannot be used", *problems)))
    weights = Path(paths["weights"] or "")
    return TrainConfig(
        weights=weights,
        base=Path(paths["base"]) if paths["base"] else None,
        folder=Path(paths["folder"] or f"{weights}.training"),
        recipes=tuple(recipe for recipe in recipes if recipe is not None),
        clips=clips,
    )


def _clips(table: Any, problems: list[str]) -> ClipsConfig | None:
    kinds = {f.name: type(f.default) for f in fields(ClipsConfig) if f.name != "source"} | {"source": str}
    before = len(problems)
    values = _values("clips", table, kinds, problems)
    if "source" not in values:
        problems.append('clips.source: missing; "world", or the path of a table of clips')
    problems += [
        f"clips.{name}: {value} is less than 1" for name, value in values.items() if type(value) is int and value < 1
    ]
    return ClipsConfig(**values) if len(problems) == before else None


def _recipe(part: str, table: Any, problems: list[str]) -> PartConfig | None:
    kinds = {f.name: type(f.default) for f in fields(PartConfig) if f.name not in ("part", "steps", "options")}
    kinds |= {"steps": int, "options": dict}
    before = len(problems)
    values = _values(part, table, kinds, problems)
    if "steps" not in values:
        problems.append(f"{part}.steps: missing")
    least = {"steps": 1, "batch": 1, "rate": 0, "warmup": 0, "rate_end": 0, "weight_decay": 0, "clip": 0, "ema": 0}
    least |= {"accumulate": 1, "seed": 0, "save_every": 1, "loaders": 0}
    problems += [
        f"{part}.{name}: {values[name]} is less than {bound}"
        for name, bound in least.items()
        if values.get(name, bound) < bound
    ]
    for name, known in (("precision", PRECISIONS), ("optimizer", OPTIMIZERS)):
        if values.get(name, known[0]) not in known:
            problems.append(f"{part}.{name}: {values[name]!r} is none of {', '.join(known)}")
    if values.get("ema", 0) >= 1:
        problems.append(f"{part}.ema: {values['ema']} is not less than 1")
    if len(problems) > before:
        return None
    recipe = PartConfig(part=part, **values)
    if recipe.batch % recipe.accumulate:
        problems.append(f"{part}.accumulate: {recipe.accumulate} does not divide a batch of {recipe.batch}")
    return recipe


def _values(where: str, table: Any, kinds: Mapping[str, type], problems: list[str]) -> dict[str, Any]:
    """The entries of a table that are as they should be; the others are problems."""
    if not isinstance(table, dict):
        problems.append(f"{where}: not a table")
        return {}
    values: dict[str, Any] = {}
    for name, value in table.items():
        kind = kinds.get(name)
        if kind is float and type(value) is int:
            value = float(value)
        if kind is None:
            problems.append(f"{where}.{name}: unknown; there are {', '.join(kinds)}")
        elif type(value) is not kind:
            problems.append(f"{where}.{name}: {value!r} is no {kind.__name__}")
        else:
            values[name] = value
    return values
