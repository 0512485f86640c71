"""Detection near the last position of a face, in a small square around it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from troupe.faces import Face, Floats, Picture

__all__ = ["Region", "crop_region"]

REGION_SCALE = 2.0
"""Side of the square in sides of the face box: enough for a face that has moved by half its size."""


@dataclass(frozen=True, eq=False)
class Region:
    """A square part of a picture in the size of a small network.

    Attributes:
        picture: (S, S, 3), black outside of the whole picture.
        scale: pixels of the region per pixel of the whole picture.
        corner: (2,) float32, position of its upper left corner in the whole picture.
    """

    picture: Picture
    scale: float
    corner: Floats

    def to_picture(self, face: Face) -> Face:
        """Convert a face to pixels of the whole picture."""
        scale = np.float32(self.scale)
        return Face(face.box / scale + np.tile(self.corner, 2), face.keypoints / scale + self.corner, face.score)


def crop_region(picture: Picture, box: Floats, size: int) -> Region | None:
    """Crop the square of `REGION_SCALE` times the box, around its centre, resized to size x size; None if it is empty.

    Args:
        picture: (H, W, 3).
        box: (4,) of a face, which may reach outside.
        size: pixels.
    """
    if not np.isfinite(box).all():
        return None
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = (float(v) for v in box)
    side = max(round(REGION_SCALE * max(x2 - x1, y2 - y1)), 2)
    left, top = round((x1 + x2 - side) / 2), round((y1 + y2 - side) / 2)
    inside = picture[max(top, 0) : min(top + side, height), max(left, 0) : min(left + side, width)]
    scale = size / side
    # Whole pixels of the canvas; the corner compensates the rounding.
    x, y = round((max(left, 0) - left) * scale), round((max(top, 0) - top) * scale)
    sides = (min(round(inside.shape[1] * scale), size - x), min(round(inside.shape[0] * scale), size - y))
    if min(*inside.shape[:2], *sides) < 1:
        return None
    small = cv2.resize(inside, sides, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    if sides != (size, size):
        canvas = np.zeros((size, size, 3), dtype=np.uint8)
        canvas[y : y + sides[1], x : x + sides[0]] = small
        small = canvas
    corner = np.array([max(left, 0) - x / scale, max(top, 0) - y / scale], dtype=np.float32)
    return Region(np.asarray(small, dtype=np.uint8), scale, corner)
