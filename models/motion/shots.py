"""File of a clip's motion: one `Motion` per shot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from models.motion.motion import Motion
from models.tensorfile import read_tensors, write_tensors

__all__ = ["load_shots", "save_shots"]

FILE_VERSION = "troupe shots 1"


def save_shots(shots: Sequence[Motion], path: Path) -> None:
    """Write the motions of one or more shots as safetensors, in order; about 2 kB per frame."""
    tensors = {
        name: torch.cat([getattr(shot, name) for shot in shots]) for name in ("expression", "rotation", "intensity")
    }
    lengths = torch.tensor([[len(shot), len(shot.intensity)] for shot in shots])
    write_tensors(path, FILE_VERSION, {**tensors, "lengths": lengths})


def load_shots(path: Path) -> tuple[Motion, ...]:
    """Load the motions that `save_shots` wrote, onto the CPU.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it is damaged, or is not a motion file of this version.
    """
    *joined, lengths = read_tensors(path, FILE_VERSION, "expression", "rotation", "intensity", "lengths")
    try:
        frames, chunks = (column.tolist() for column in lengths.T)
        expression, rotation, intensity = joined
        shots = zip(
            torch.split(expression, frames), torch.split(rotation, frames), torch.split(intensity, chunks), strict=True
        )
        return tuple(Motion(*shot) for shot in shots)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{path} does not hold valid motions: {error}; delete it to encode the clip again") from error
