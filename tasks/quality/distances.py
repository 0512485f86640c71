"""Distances and similarities of numbers that are there already; nothing here needs a network."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from troupe import Picture
from troupe.faces import Floats

__all__ = ["Flicker", "expression_distance", "landmark_distance", "pose_distance", "shape_distance", "similarity"]

_STRIDE = 4


class Flicker:
    """What changes from frame to frame and back.

    The mean absolute second difference over time, |a - 2b + c| / 2, of grey levels averaged over 4x4 pixels: what
    moves on steadily counts little, what trembles counts fully. 0 for a still or a steady fade, up to 255.
    """

    def __init__(self) -> None:
        self._before: list[Floats] = []
        self._sum, self._count = 0.0, 0

    def see(self, frame: Picture) -> None:
        """Take the next frame, (H, W, 3) uint8."""
        height, width = (side // _STRIDE * _STRIDE for side in frame.shape[:2])
        grey = frame[:height, :width].mean(axis=2, dtype=np.float32)
        small = grey.reshape(height // _STRIDE, _STRIDE, width // _STRIDE, _STRIDE).mean(axis=(1, 3))
        if len(self._before) == 2:
            first, second = self._before
            self._sum += float(np.abs(first - 2 * second + small).mean()) / 2
            self._count += 1
        self._before = [*self._before[-1:], small]

    @property
    def value(self) -> float | None:
        """Grey levels; None of less than three frames."""
        return self._sum / self._count if self._count else None


def similarity(a: Tensor, b: Tensor) -> float:
    """Cosine of two identity vectors, (1, N) each: 1 for the same, about 0 for strangers."""
    return float(F.cosine_similarity(a.float(), b.float()).mean())


def landmark_distance(a: Floats, b: Floats) -> float:
    """Mean distance of (5, 2) keypoints, in their pixels."""
    return float(np.linalg.norm(a.astype(np.float64) - b, axis=1).mean())


def shape_distance(a: Floats, b: Floats) -> float:
    """As `landmark_distance`, after both are moved to their centre and scaled to a deviation of 1.

    So that faces of different size and place can be compared: what remains is how the head is turned and what the
    mouth does, and the shape of the two faces. In deviations: 0 for the same, 1 is a face turned away.
    """
    return landmark_distance(_normalised(a), _normalised(b))


def expression_distance(a: Tensor, b: Tensor) -> float:
    """1 - cosine of the expression encoder's features, (F, E) each, mean over frames: 0 for the same, 2 at most."""
    return float((1 - F.cosine_similarity(a.float(), b.float(), dim=1)).mean())


def pose_distance(a: Tensor, b: Tensor) -> float:
    """Mean absolute difference of the head-pose encoder's angles, (F, 3) each, in degrees, the short way round."""
    turned = (a.float() - b.float() + 180) % 360 - 180
    return float(turned.abs().mean())


def _normalised(points: Floats) -> Floats:
    centred = points.astype(np.float64) - points.mean(axis=0)
    size = float(np.sqrt((centred**2).sum(axis=1).mean()))
    return np.asarray(centred / size if size > 0 else centred, dtype=np.float32)
