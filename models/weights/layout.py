"""The networks of a weights directory, and how they are built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from torch import Tensor, nn

from models.appearance import AppearanceProjector, VisionTransformer
from models.autoencoder import autoencoder_for
from models.config import ModelConfig
from models.denoiser import Denoiser, PoseGuider
from models.motion import MotionRefiner, expression_encoder_for, head_pose_encoder_for
from models.weight_files import STEMS, PartName, existing_tensor_file, find_tensor_file

__all__ = ["PARTS", "Part", "existing_part_file", "find_part", "find_part_file"]


@dataclass(frozen=True)
class Part:
    """One network of the directory.

    Attributes:
        name: name of the network.
        build: builds the network, without values, from a configuration and the tensors that will be assigned to it.
    """

    name: PartName
    build: Callable[[ModelConfig, Mapping[str, Tensor]], nn.Module]

    @property
    def stems(self) -> tuple[str, ...]:
        """Paths without suffix, relative to the directory; the first that exists is used."""
        return STEMS[self.name]


PARTS = (
    Part("expression", lambda _, state: expression_encoder_for(state)),
    Part("headpose", lambda _, state: head_pose_encoder_for(state)),
    Part("motion_proj", lambda config, _: MotionRefiner(config.refiner, config.unet.cross_attention_dim)),
    Part("dino", lambda config, _: VisionTransformer(config.appearance)),
    Part("image_proj", lambda config, _: AppearanceProjector(config.appearance)),
    Part("pose_guider", lambda config, _: PoseGuider(config.unet.block_out_channels[0])),
    Part("unet", lambda config, _: Denoiser(config.unet)),
    Part("vae", lambda config, _: cast("nn.Module", autoencoder_for(config.vae))),
)


def find_part(name: str) -> Part:
    """Return the part of this name."""
    return next(part for part in PARTS if part.name == name)


def find_part_file(directory: Path, part: Part) -> Path | None:
    """Return the file that holds the part's tensors, None if there is none; a converted one is preferred."""
    return find_tensor_file(directory, part.stems)


def existing_part_file(directory: Path, part: Part) -> Path:
    """Return the file that holds the part's tensors.

    Raises:
        WeightsError: it does not exist.
    """
    return existing_tensor_file(directory, part.stems)
