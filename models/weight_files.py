"""The files of a weights directory. Imports no network, so that a run is planned without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from models.face_files import RECOGNISER_FILE
from troupe.errors import WeightsError

__all__ = ["STEMS", "PartName", "existing_tensor_file", "find_tensor_file", "model_files"]

PartName: TypeAlias = Literal[
    "expression", "headpose", "motion_proj", "dino", "image_proj", "pose_guider", "unet", "vae"
]

STEMS: Mapping[PartName, tuple[str, ...]] = {
    "expression": ("hyportrait/expression",),
    "headpose": ("hyportrait/headpose",),
    "motion_proj": ("hyportrait/motion_proj",),
    "dino": ("hyportrait/dino",),
    "image_proj": ("hyportrait/image_proj",),
    "pose_guider": ("hyportrait/pose_guider",),
    "unet": ("hyportrait/unet",),
    "vae": ("vae/diffusion_pytorch_model.fp16", "vae/diffusion_pytorch_model"),
}
"""Paths without suffix of every network's tensors, relative to the directory; the first that exists is used."""
CONFIG_FILES = ("troupe.json", "unet/config.json", "vae/config.json", "scheduler/scheduler_config.json")


def model_files(directory: Path) -> list[Path]:
    """Return the existing files that define the model in this directory; its fingerprint is made of them."""
    found = [directory / name for name in CONFIG_FILES]
    found += [path for stems in STEMS.values() if (path := find_tensor_file(directory, stems)) is not None]
    found.append(directory / RECOGNISER_FILE)
    return [path for path in found if path.is_file()]


def find_tensor_file(directory: Path, stems: tuple[str, ...]) -> Path | None:
    """Return the file that holds a network's tensors, None if there is none; a converted one is preferred."""
    for stem in stems:
        for suffix in (".safetensors", ".pth"):
            path = directory / f"{stem}{suffix}"
            if path.is_file():
                return path
    return None


def existing_tensor_file(directory: Path, stems: tuple[str, ...]) -> Path:
    """Return the file that holds a network's tensors.

    Raises:
        WeightsError: it does not exist.
    """
    path = find_tensor_file(directory, stems)
    if path is None:
        raise WeightsError(f"{directory / stems[0]}: missing")
    return path
