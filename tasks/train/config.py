"""The training file: TOML with one table for each part that is trained."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from troupe.errors import SettingsError

__all__ = [
    "OPTIMIZERS",
    "PRECISIONS",
    "WORLD",
    "ClipsConfig",
    "PartConfig",
    "TrainConfig",
    "parse_train_config",
    "read_train_config",
]

PRECISIONS = ("float32", "bf16")
OPTIMIZERS = ("adamw", "muon")
WORLD = "world"
"""The source of synthetic clips."""
_RESUMABLE_CHANGES = ("steps", "save_every", "loaders", "accumulate")
"""Settings that may differ when a training resumes."""


@dataclass(frozen=True)
class PartConfig:
    """Training settings of one part.

    Attributes:
        part: name of the part, one of `tasks.train.parts.PARTS`.
        steps: number of optimizer steps.
        batch: batch size, over all workers.
        rate: peak learning rate, reached after `warmup` steps of linear warm-up; cosine annealing then lowers it to
            `rate_end` times the peak.
        rates: learning rates of single networks of the part as multiples of `rate`, by the first part of their
            parameters' names (for the denoiser: `dino`, `image_proj`, `motion_proj`, `unet`).
        warmup: number of warm-up steps.
        rate_end: final learning rate, as a share of the peak.
        weight_decay: decoupled weight decay.
        clip: maximum gradient norm.
        ema: decay of the exponential moving average of the weights, which is what is saved in the end; 0 saves the last
            weights.
        precision: precision of the forward pass, `float32` or `bf16`.
        optimizer: `adamw`, or `muon`, which needs fewer steps where there are many matrices (`tasks.train.muon`).
        accumulate: number of gradient accumulation passes per step, for a device with little memory.
        seed: seed of the initial weights and of all examples.
        save_every: steps between two checkpoints.
        loaders: number of data loader processes; 0 makes the examples in the training process.
        options: options of the part's objective.
    """

    part: str
    steps: int
    batch: int = 8
    rate: float = 1e-4
    rates: Mapping[str, float] = field(default_factory=dict)
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
        """The settings as JSON-serialisable values."""
        return asdict(self)

    def check_share(self, workers: int) -> None:
        """Check that the batch divides evenly among `workers` and accumulation passes.

        Raises:
            SettingsError: it does not.
        """
        if self.batch % (workers * self.accumulate):
            raise SettingsError(
                f"{self.part}: a batch of {self.batch} cannot be shared by {workers} workers "
                f"in {self.accumulate} passes each"
            )

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """Settings of an earlier training (`as_dict`) with which the same steps give other weights; one line each."""
        own = self.as_dict()
        # A setting that did not exist yet had its default's effect.
        was = PartConfig(self.part, self.steps).as_dict() | dict(other)
        return [
            f"{name}: was {was.get(name)!r}, is {own[name]!r}"
            for name in own
            if name not in _RESUMABLE_CHANGES and own[name] != was.get(name)
        ]


@dataclass(frozen=True)
class ClipsConfig:
    """Training clips, encoded once.

    Attributes:
        source: `world` for synthetic clips, else the URI of a table of users' clips (CSV, JSONL or Parquet).
        count: number of synthetic clips to train on; a twentieth more, at least 4, are held out.
        frames: number of frames per synthetic clip, and the most per users' clip; longer ones are split.
        cast: number of people who give each synthetic performance; for the voice, number of sounds that each synthetic
            person speaks.
        sittings: number of frames per clip that may serve as the portrait.
        detector: face detector for users' clips; empty for the weights directory's own.
    """

    source: str
    count: int = 1000
    frames: int = 50
    cast: int = 2
    sittings: int = 8
    detector: str = ""


@dataclass(frozen=True)
class TrainConfig:
    """A training file.

    Attributes:
        weights: weights directory that the parts are written to, and that later parts read earlier ones from.
        base: weights directory to start from; copied to `weights` when that is new.
        folder: folder of checkpoints, curves and results, one sub-folder per part.
        parts: settings of the parts, in the order in which they are trained.
        clips: clips for the parts that train on clips.
    """

    weights: Path
    base: Path | None
    folder: Path
    parts: tuple[PartConfig, ...]
    clips: ClipsConfig | None = None

    def select(self, names: tuple[str, ...]) -> tuple[PartConfig, ...]:
        """Return the settings of the named parts; all if `names` is empty.

        Raises:
            SettingsError: the file has no such part.
        """
        known = [config.part for config in self.parts]
        if unknown := [name for name in names if name not in known]:
            raise SettingsError(f"the training file has no part {', '.join(unknown)}; it has {', '.join(known)}")
        return tuple(config for config in self.parts if not names or config.part in names)


def read_train_config(path: Path, known: tuple[str, ...]) -> TrainConfig:
    """Read a training file. Paths in it are relative to the working directory.

    Args:
        known: names of the parts that can be trained.

    Raises:
        SettingsError: the file is missing, is not TOML, or has invalid entries; all of them are listed.
    """
    config, problems = parse_train_config(path, known)
    if problems:
        raise SettingsError(f"{path} cannot be used", problems)
    return config


def parse_train_config(path: Path, known: tuple[str, ...]) -> tuple[TrainConfig, list[str]]:
    """Read a training file as far as its entries are valid; return it with what is wrong with the others.

    Parts and clips with invalid entries are in it, so that what they need can be checked, but not with their settings.

    Args:
        known: names of the parts that can be trained.

    Raises:
        SettingsError: the file is missing, or is not TOML.
    """
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(f"{path} cannot be read as a training file: {why}") from error
    problems = [
        f"{name}: neither a path nor a part ({', '.join(known)})"
        for name in table
        if name not in ("weights", "base", "folder", "clips", *known)
    ]
    paths = {name: table.get(name) for name in ("weights", "base", "folder")}
    problems += [f"{name}: not a path" for name, value in paths.items() if value is not None and type(value) is not str]
    if paths["weights"] is None:
        problems.append("weights: missing; name the weights directory to write")
    parts = [_part(name, table[name], problems) for name in table if name in known]
    clips = _clips(table["clips"], problems) if "clips" in table else None
    if not parts and not problems:
        problems.append(f"no part to train; add a table such as [{known[0]}]")
    weights, base, folder = (value if type(value) is str else "" for value in paths.values())
    config = TrainConfig(
        weights=Path(weights),
        base=Path(base) if base else None,
        folder=Path(folder or f"{weights}.training"),
        parts=tuple(parts),
        clips=clips,
    )
    return config, problems


def _clips(table: Any, problems: list[str]) -> ClipsConfig | None:
    kinds = {f.name: type(f.default) for f in fields(ClipsConfig) if f.name != "source"} | {"source": str}
    values = _values("clips", table, kinds, problems)
    if "source" not in values:
        problems.append('clips.source: missing; "world", or the path of a table of clips')
    problems += [
        f"clips.{name}: {value} is less than 1" for name, value in values.items() if type(value) is int and value < 1
    ]
    return ClipsConfig(**values) if "source" in values else None


def _part(part: str, table: Any, problems: list[str]) -> PartConfig:
    kinds = {f.name: type(f.default) for f in fields(PartConfig) if f.name not in ("part", "steps", "rates", "options")}
    kinds |= {"steps": int, "rates": dict, "options": dict}
    before = len(problems)
    values = _values(part, table, kinds, problems)
    if isinstance(table, dict) and "steps" not in table:
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
            problems.append(f"{part}.{name}: invalid value {values[name]!r}; use one of {', '.join(known)}")
    problems += [
        f"{part}.rates.{name}: {value!r} is not a number above 0"
        for name, value in values.get("rates", {}).items()
        if type(value) not in (int, float) or not 0 < value < math.inf
    ]
    if values.get("ema", 0) >= 1:
        problems.append(f"{part}.ema: {values['ema']} is not less than 1")
    if len(problems) > before:
        return PartConfig(part, steps=1)
    config = PartConfig(part=part, **values)
    if config.batch % config.accumulate:
        problems.append(f"{part}.accumulate: {config.accumulate} does not divide a batch of {config.batch}")
    return config


def _values(where: str, table: Any, kinds: Mapping[str, type], problems: list[str]) -> dict[str, Any]:
    """Return the valid entries of a table; append the others to `problems`."""
    if not isinstance(table, dict):
        problems.append(f"{where}: not a table")
        return {}
    values: dict[str, Any] = {}
    for name, value in table.items():
        kind = kinds.get(name)
        if kind is float and type(value) is int:
            value = float(value)
        if kind is None:
            problems.append(f"{where}.{name}: unknown setting; use one of {', '.join(kinds)}")
        elif type(value) is not kind:
            problems.append(f"{where}.{name}: {value!r} is not of type {kind.__name__}")
        elif isinstance(value, float) and not math.isfinite(value):
            problems.append(f"{where}.{name}: {value} is not finite")
        else:
            values[name] = value
    return values
