"""The layout of a weights directory: the parts of the model and the files that hold them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, cast

from torch import Tensor, nn

from models.appearance import AppearanceProjector, VisionTransformer
from models.autoencoder import autoencoder_for
from models.config import ModelConfig
from models.denoiser import Denoiser, PoseGuider
from models.face_files import RECOGNISER_FILE
from models.motion import MotionRefiner, expression_encoder_for, head_pose_encoder_for
from troupe.errors import WeightsError

__all__ = [
    "PARTS",
    "Part",
    "PartName",
    "existing_part_file",
    "find_part",
    "find_part_file",
    "model_files",
]

PartName: TypeAlias = Literal[
    "expression", "headpose", "motion_proj", "dino", "image_proj", "pose_guider", "unet", "vae"
]


@dataclass(frozen=True)
class Part:
    """One network of the directory.

    Attributes:
        name: name of the network.
        stems: paths without suffix, relative to the directory; the first that exists is used.
        build: builds the network, without values, from a configuration and the tensors that will be assigned to it.
    """

    name: PartName
    stems: tuple[str, ...]
    build: Callable[[ModelConfig, Mapping[str, Tensor]], nn.Module]


PARTS = (
    Part("expression", ("hyportrait/expression",), lambda _, state: expression_encoder_for(state)),
    Part("headpose", ("hyportrait/headpose",), lambda _, state: head_pose_encoder_for(state)),
    Part(
        "motion_proj",
        ("hyportrait/motion_proj",),
        lambda config, _: MotionRefiner(config.refiner, config.unet.cross_attention_dim),
    ),
    Part("dino", ("hyportrait/dino",), lambda config, _: VisionTransformer(config.appearance)),
    Part("image_proj", ("hyportrait/image_proj",), lambda config, _: AppearanceProjector(config.appearance)),
    Part(
        "pose_guider",
        ("hyportrait/pose_guider",),
        lambda config, _: PoseGuider(config.unet.block_out_channels[0]),
    ),
    Part("unet", ("hyportrait/unet",), lambda config, _: Denoiser(config.unet)),
    Part(
        "vae",
        ("vae/diffusion_pytorch_model.fp16", "vae/diffusion_pytorch_model"),
        lambda config, _: cast("nn.Module", autoencoder_for(config.vae)),
    ),
)
CONFIG_FILES = ("troupe.json", "unet/config.json", "vae/config.json", "scheduler/scheduler_config.json")


def model_files(directory: Path) -> list[Path]:
    """Return the existing files that define the model in this directory; its fingerprint is made of them."""
    found = [directory / name for name in CONFIG_FILES]
    found += [path for part in PARTS if (path := find_part_file(directory, part)) is not None]
    found.append(directory / RECOGNISER_FILE)
    return [path for path in found if path.is_file()]


def find_part(name: str) -> Part:
    """Return the part of this name."""
    return next(part for part in PARTS if part.name == name)


def find_part_file(directory: Path, part: Part) -> Path | None:
    """Return the file that holds the part's tensors, None if there is none; a converted one is preferred."""
    for stem in part.stems:
        for suffix in (".safetensors", ".pth"):
            path = directory / f"{stem}{suffix}"
            if path.is_file():
                return path
    return None


def existing_part_file(directory: Path, part: Part) -> Path:
    """Return the file that holds the part's tensors.

    Raises:
        WeightsError: it does not exist.
    """
    path = find_part_file(directory, part)
    if path is None:
        raise WeightsError(f"{directory / part.stems[0]}: missing")
    return path
