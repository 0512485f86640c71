"""Configuration of the model, read from a weights directory.

The json files of the release's layout (`unet/config.json`, `vae/config.json`, `scheduler/scheduler_config.json`)
hold most of it; the rest comes from an optional `troupe.json`, absent in the release, whose values are the defaults
here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from troupe.errors import WeightsError

__all__ = ["AppearanceConfig", "ModelConfig", "RefinerConfig", "SchedulerConfig", "UNetConfig", "VAEConfig"]

T = TypeVar("T")

_LARGEST_FILE = 2**20
"""Bytes of a config; the release's have less than two thousand."""

_BOUNDS = {
    "window": (1, 1024),
    "num_frames": (1, 1024),
    "depth": (1, 256),
    "heads": (1, 256),
    "num_attention_heads": (1, 256),
    "adapter_heads": (1, 256),
    "adapter_blocks": (0, 255),
    "layers_per_block": (1, 64),
    "registers": (0, 1024),
}
"""Least and greatest value by entry: far beyond any model that exists, and built within seconds."""

_OTHER_BOUNDS = (1, 16384)
"""Of widths, sizes and counts, in channels, pixels or tokens."""

_LONGEST_LIST = 64


@dataclass(frozen=True)
class UNetConfig:
    """The denoiser, with the field names of diffusers' `unet/config.json`."""

    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    num_attention_heads: tuple[int, ...] = (5, 10, 20, 20)
    cross_attention_dim: int = 1024
    addition_time_embed_dim: int = 256
    projection_class_embeddings_input_dim: int = 768
    layers_per_block: int = 2
    in_channels: int = 8
    out_channels: int = 4
    num_frames: int = 25


@dataclass(frozen=True)
class VAEConfig:
    """The autoencoder, with the field names of diffusers' `vae/config.json`."""

    block_out_channels: tuple[int, ...] = (128, 256, 512, 512)
    layers_per_block: int = 2
    in_channels: int = 3
    out_channels: int = 3
    latent_channels: int = 4
    sample_size: int = 768
    scaling_factor: float = 0.18215
    force_upcast: bool = True

    @property
    def scale(self) -> int:
        """Pixels a latent cell spans on each side."""
        return int(2 ** (len(self.block_out_channels) - 1))


@dataclass(frozen=True)
class SchedulerConfig:
    """Noise levels, with the field names of diffusers' `scheduler/scheduler_config.json`."""

    sigma_min: float = 0.002
    sigma_max: float = 700.0


@dataclass(frozen=True)
class AppearanceConfig:
    """The vision transformer with its identity adapters, and the projector over its tokens.

    Attributes:
        input_size: side of the square input, in pixels.
        position_grid: cells per side of the learned position table.
        adapter_width: inner width of an adapter; `adapter_blocks`: the blocks that have one.
        adapter_attention: width of the adapter's attention to the identity token.
        identity: length of the identity vector.
        tokens: number of appearance tokens returned.
    """

    width: int = 1024
    depth: int = 24
    heads: int = 16
    registers: int = 4
    patch: int = 14
    input_size: int = 224
    position_grid: int = 37
    adapter_width: int = 384
    adapter_attention: int = 256
    adapter_heads: int = 8
    adapter_blocks: tuple[int, ...] = (3, 7, 11, 15, 19, 23)
    identity: int = 512
    tokens: int = 64

    @property
    def sequence(self) -> int:
        """Tokens of the transformer: class, registers, patches."""
        return 1 + self.registers + (self.input_size // self.patch) ** 2


@dataclass(frozen=True)
class RefinerConfig:
    """The intensity-aware refiner with the motion memory bank.

    Attributes:
        latents: number of tokens in the memory bank, and so per frame.
        levels: number of intensity levels.
        expression: length of the expression feature.
    """

    width: int = 768
    depth: int = 6
    heads: int = 8
    latents: int = 64
    levels: int = 128
    expression: int = 512


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of all networks.

    Attributes:
        image_size: side of the square crop that is animated, in pixels.
        face_size: side of the crops that the motion encoders see.
        window: number of frames per denoising window.
    """

    image_size: int = 512
    face_size: int = 256
    window: int = 25
    appearance: AppearanceConfig = field(default_factory=AppearanceConfig)
    refiner: RefinerConfig = field(default_factory=RefinerConfig)
    unet: UNetConfig = field(default_factory=UNetConfig)
    vae: VAEConfig = field(default_factory=VAEConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)

    @property
    def latent_size(self) -> int:
        """Side of the latent picture."""
        return self.image_size // self.vae.scale

    @classmethod
    def read(cls, directory: Path) -> ModelConfig:
        """Read the configuration of a weights directory.

        Raises:
            WeightsError: a config is missing, is not JSON, or has a value of the wrong type; all are
                reported together.
        """
        problems: list[str] = []
        unet = _read_json(directory / "unet" / "config.json", problems)
        vae = _read_json(directory / "vae" / "config.json", problems)
        scheduler = _read_json(directory / "scheduler" / "scheduler_config.json", problems)
        ours = _read_json(directory / "troupe.json", problems) if (directory / "troupe.json").exists() else {}
        own = {key: value for key, value in ours.items() if key in ("image_size", "face_size", "window")}
        unknown = sorted(set(ours) - set(own) - {"appearance", "refiner"})
        problems += [f"troupe.json: unknown entry {key!r}" for key in unknown]
        config = cls(
            appearance=_build(AppearanceConfig, ours.get("appearance", {}), "troupe.json: appearance", problems, True),
            refiner=_build(RefinerConfig, ours.get("refiner", {}), "troupe.json: refiner", problems, True),
            unet=_build(UNetConfig, unet, "unet/config.json", problems),
            vae=_build(VAEConfig, vae, "vae/config.json", problems),
            scheduler=_build(SchedulerConfig, scheduler, "scheduler/scheduler_config.json", problems),
            **_checked(cls, own, "troupe.json", problems),
        )
        problems = problems or _contradictions(config)
        if problems:
            raise WeightsError(f"the configuration of {directory} cannot be used", problems)
        return config

    def write(self, directory: Path) -> None:
        """Write the JSON files that `read` reads into a weights directory."""

        def dump(path: Path, value: Mapping[str, Any]) -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(value, indent=2) + "\n")

        dump(directory / "unet" / "config.json", _plain(self.unet))
        dump(directory / "vae" / "config.json", _plain(self.vae))
        dump(directory / "scheduler" / "scheduler_config.json", _plain(self.scheduler))
        ours = {key: value for key, value in _plain(self).items() if key not in ("unet", "vae", "scheduler")}
        dump(directory / "troupe.json", ours)


def _read_json(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        if (size := path.stat().st_size) > _LARGEST_FILE:
            raise ValueError(f"has {size} bytes, more than {_LARGEST_FILE}")
        value = json.loads(path.read_text())
    except FileNotFoundError:
        problems.append(f"{path.parent.name}/{path.name}: missing")
    except (OSError, ValueError) as error:
        problems.append(f"{path.parent.name}/{path.name}: {error}")
    except RecursionError:
        problems.append(f"{path.parent.name}/{path.name}: nested too deeply")
    else:
        if isinstance(value, dict):
            return value
        problems.append(f"{path.parent.name}/{path.name}: not a json object")
    return {}


def _build(kind: type[T], values: Any, where: str, problems: list[str], strict: bool = False) -> T:
    """Build `kind` from the entries it declares; diffusers' configs have many others, ours (`strict`) none."""
    if not isinstance(values, dict):
        problems.append(f"{where}: not a json object")
        return kind()
    names = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    if strict:
        problems += [f"{where}: unknown entry {key!r}" for key in sorted(set(values) - names)]
    return kind(**_checked(kind, {k: v for k, v in values.items() if k in names}, where, problems))


def _checked(kind: type[Any], values: Mapping[str, Any], where: str, problems: list[str]) -> dict[str, Any]:
    """Return those of `values` that have the type of their default; lists become tuples."""
    good: dict[str, Any] = {}
    for name, value in values.items():
        default = next(f.default for f in fields(kind) if f.name == name)
        value = tuple(value) if isinstance(value, list) else value
        if isinstance(default, float) and type(value) is int:
            value = float(value)
        whole = isinstance(default, tuple) and not (
            isinstance(value, tuple) and all(type(v) is int and v >= 0 for v in value)
        )
        if whole or (not isinstance(default, tuple) and type(value) is not type(default)):
            problems.append(f"{where}: {name} is {_short(value)}, not of the kind of {default!r}")
        elif wrong := _out_of_bounds(name, value):
            problems.append(f"{where}: {name} is {_short(value)}; {wrong}")
        else:
            good[name] = value
    return good


def _out_of_bounds(name: str, value: Any) -> str:
    """Return which values the entry may have, if this is not one of them."""
    if isinstance(value, float):
        return "" if math.isfinite(value) and value > 0 else "use a number greater than 0"
    if isinstance(value, tuple) and (len(value) > _LONGEST_LIST or (not value and name != "adapter_blocks")):
        return f"use 1 to {_LONGEST_LIST} values"
    low, high = _BOUNDS.get(name, _OTHER_BOUNDS)
    values = value if isinstance(value, tuple) else () if isinstance(value, bool) else (value,)
    return "" if all(low <= each <= high for each in values) else f"use {low} to {high}"


def _contradictions(config: ModelConfig) -> list[str]:
    """Return what is wrong with entries that are valid by themselves."""
    appearance, refiner, unet, scheduler = config.appearance, config.refiner, config.unet, config.scheduler
    problems = [
        f"troupe.json: {where}: width is {part.width}, which {part.heads} heads cannot share equally"
        for where, part in (("appearance", appearance), ("refiner", refiner))
        if part.width % part.heads
    ]
    if max(appearance.adapter_blocks, default=0) >= appearance.depth:
        problems.append(
            f"troupe.json: appearance: adapter_blocks has {max(appearance.adapter_blocks)}, but the last of "
            f"{appearance.depth} blocks is {appearance.depth - 1}"
        )
    if len(unet.num_attention_heads) != len(unet.block_out_channels):
        problems.append("unet/config.json: num_attention_heads and block_out_channels have different lengths")
    if scheduler.sigma_min >= scheduler.sigma_max:
        problems.append("scheduler/scheduler_config.json: sigma_min is not less than sigma_max")
    if config.image_size % config.vae.scale:
        problems.append(f"troupe.json: image_size is {config.image_size}; use a multiple of {config.vae.scale}")
    return problems


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "…"


def _plain(config: Any) -> dict[str, Any]:
    def value(v: Any) -> Any:
        return _plain(v) if is_dataclass(v) else list(v) if isinstance(v, tuple) else v

    return {f.name: value(getattr(config, f.name)) for f in fields(config)}
