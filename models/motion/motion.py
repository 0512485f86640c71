"""Motion of a driving clip, as the sampler uses it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Motion"]


@dataclass(frozen=True, eq=False)
class Motion:
    """Motion of a driving clip, encoded once and reused for every portrait.

    Attributes:
        expression: (F, E) float32 features of the face crops.
        rotation: (F, 3) float32, the head-pose encoder's three angles, degrees.
        intensity: (ceil(F / W), 2) int64, head and expression, 0..127, one pair per chunk of W frames.

    Raises:
        ValueError: the shapes or dtypes are inconsistent, or there are no frames.
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
        """Number of frames."""
        return len(self.expression)

    def frame_intensity(self, window: int) -> Tensor:
        """Return each frame's intensity, which is that of its chunk.

        Args:
            window: number of frames per chunk, the same as the motion was encoded with.

        Returns:
            (F, 2) int64.

        Raises:
            ValueError: the motion was encoded with a different window.
        """
        if -(-len(self) // window) != len(self.intensity):
            raise ValueError(f"{len(self)} frames in windows of {window} do not make {len(self.intensity)} intensities")
        return self.intensity.repeat_interleave(window, dim=0)[: len(self)]
