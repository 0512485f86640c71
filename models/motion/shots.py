"""The motions of a clip's shots in one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from models.motion.motion import Motion
from models.tensorfile import read_tensors, write_tensors

__all__ = ["load_shots", "save_shots"]

VERSION = "troupe shots 1"


def save_shots(shots: Sequence[Motion], path: Path) -> None:
    """Write one or more motions as safetensors, in their order; about 2 kB a frame."""
    tensors = {
        name: torch.cat([getattr(shot, name) for shot in shots]) for name in ("expression", "rotation", "intensity")
    }
    lengths = torch.tensor([[len(shot), len(shot.intensity)] for shot in shots])
    write_tensors(path, VERSION, {**tensors, "lengths": lengths})


def load_shots(path: Path) -> tuple[Motion, ...]:
    """Read what `save_shots` wrote, onto the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or holds no motions of this version.
    """
    *joined, lengths = read_tensors(path, VERSION, "expression", "rotation", "intensity", "lengths")
    try:
        frames, chunks = (column.tolist() for column in lengths.T)
        expression, rotation, intensity = joined
        parts = zip(
            torch.split(expression, frames), torch.split(rotation, frames), torch.split(intensity, chunks), strict=True
        )
        return tuple(Motion(*part) for part in parts)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{path} holds no motions: {error}; delete it to encode again") from error
