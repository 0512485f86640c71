"""Distances and similarities of frames, keypoints and features; nothing here runs a network."""

from __future__ import annotations

import cv2
import numpy as np
from torch import Tensor
from torch.nn import functional as F

from troupe import Picture
from troupe.faces import Floats

__all__ = ["Flicker", "expression_distance", "landmark_distance", "pose_distance", "shape_distance", "similarity"]

_STRIDE = 4
"""Side of the blocks over which flicker averages, in pixels."""


class Flicker:
    """Change from frame to frame and back.

    The mean absolute second difference over time, |a - 2b + c| / 2, of grey levels averaged over 4x4 pixels: steady
    motion counts little, trembling counts fully. 0 for a still or a steady fade, up to 255.
    """

    def __init__(self) -> None:
        self._previous: list[Floats] = []
        self._sum, self._count = 0.0, 0

    def update(self, frame: Picture) -> None:
        """Add the next frame, (H, W, 3) uint8."""
        height, width = (side // _STRIDE * _STRIDE for side in frame.shape[:2])
        # Columns before rows and colours: sums of neighbours in memory, in integers.
        blocks = frame[:height, :width].reshape(height, width // _STRIDE, 3 * _STRIDE)
        columns = cv2.reduce(blocks.reshape(-1, 3 * _STRIDE), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32F)
        small = columns.reshape(height // _STRIDE, _STRIDE, -1).sum(axis=1) / np.float32(3 * _STRIDE**2)
        if len(self._previous) == 2:
            first, second = self._previous
            self._sum += float(np.abs(first - 2 * second + small).mean()) / 2
            self._count += 1
        self._previous = [*self._previous[-1:], small]

    def compute(self) -> float | None:
        """Return the flicker in grey levels; None for fewer than three frames."""
        return self._sum / self._count if self._count else None


def similarity(a: Tensor, b: Tensor) -> float:
    """Return the cosine of two identity vectors, (1, N) each: 1 for the same, about 0 for strangers."""
    return float(F.cosine_similarity(a.float(), b.float()).mean())


def landmark_distance(a: Floats, b: Floats) -> float:
    """Return the mean distance of (5, 2) keypoints, in pixels."""
    return float(np.linalg.norm(a.astype(np.float64) - b, axis=1).mean())


def shape_distance(a: Floats, b: Floats) -> float:
    """Return `landmark_distance` after both faces are centred and scaled to a standard deviation of 1.

    This makes faces of different size and position comparable: what remains is the rotation of the head, the mouth,
    and the shape of the two faces. In standard deviations: 0 for the same, 1 for a face turned away.
    """
    return landmark_distance(_normalised(a), _normalised(b))


def expression_distance(a: Tensor, b: Tensor) -> float:
    """Return 1 - cosine of the expression encoder's features, (F, E) each, mean over frames, from 0 (same) to 2."""
    return float((1 - F.cosine_similarity(a.float(), b.float(), dim=1)).mean())


def pose_distance(a: Tensor, b: Tensor) -> float:
    """Return the mean absolute difference of the head-pose encoder's angles, (F, 3) each, in degrees, modulo 360."""
    difference = (a.float() - b.float() + 180) % 360 - 180
    return float(difference.abs().mean())


def _normalised(points: Floats) -> Floats:
    centred = points.astype(np.float64) - points.mean(axis=0)
    size = float(np.sqrt((centred**2).sum(axis=1).mean()))
    return np.asarray(centred / size if size > 0 else centred, dtype=np.float32)
