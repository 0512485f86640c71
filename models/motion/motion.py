"""A driving clip as the sampler needs it, and its file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from models.tensorfile import read_tensors, write_tensors

__all__ = ["Motion"]

VERSION = "troupe motion 1"


@dataclass(frozen=True, eq=False)
class Motion:
    """A driving clip, encoded once and reused by every identity.

    Attributes:
        expression: (F, E) float32 features of the face crops.
        rotation: (F, 3) float32, the head-pose encoder's three angles, degrees.
        intensity: (ceil(F / W), 2) int64, head and expression, 0..127, one pair a chunk of W frames.

    Raises:
        ValueError: shapes or dtypes that do not go together, or no frame.
    """

    expression: Tensor
    rotation: Tensor
    intensity: Tensor

    def __post_init__(self) -> None:
        frames = len(self.expression) if self.expression.ndim == 2 else 0
        fits = (
            frames > 0
            and self.rotation.shape == (frames, 3)
            and self.intensity.ndim == 2
            and self.intensity.shape[1] == 2
            and 0 < len(self.intensity) <= frames
        )
        kinds = (self.expression.dtype, self.rotation.dtype, self.intensity.dtype)
        if not fits or kinds != (torch.float32, torch.float32, torch.int64):
            have = ", ".join(f"{tuple(t.shape)} {t.dtype}" for t in (self.expression, self.rotation, self.intensity))
            raise ValueError(f"a motion is (F, E) float32, (F, 3) float32 and (chunks, 2) int64; this is {have}")

    def __len__(self) -> int:
        """Frames."""
        return len(self.expression)

    def frame_intensity(self, window: int) -> Tensor:
        """Every frame's intensity: that of its chunk.

        Args:
            window: frames of a chunk, as the motion was encoded with.

        Returns:
            (F, 2) int64.

        Raises:
            ValueError: the motion was encoded with another window.
        """
        if -(-len(self) // window) != len(self.intensity):
            raise ValueError(f"{len(self)} frames in windows of {window} do not make {len(self.intensity)} intensities")
        return self.intensity.repeat_interleave(window, dim=0)[: len(self)]

    def save(self, path: Path) -> None:
        """Write as safetensors; about 2 kB a frame."""
        tensors = {"expression": self.expression, "rotation": self.rotation, "intensity": self.intensity}
        write_tensors(path, VERSION, tensors)

    @classmethod
    def load(cls, path: Path) -> Motion:
        """Read what `save` wrote, onto the CPU.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is damaged, or no motion of this version.
        """
        expression, rotation, intensity = read_tensors(path, VERSION, "expression", "rotation", "intensity")
        try:
            return cls(expression, rotation, intensity)
        except ValueError as error:
            raise ValueError(f"{path} holds no motion: {error}; delete it to encode again") from error
