"""Detection with a border around the picture, for faces that fill it.

A detector that resizes the picture to its own input misses a face that fills the picture. With a black border around
the picture, the same face is smaller and complete.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from troupe.faces import Face, Picture

__all__ = ["detect_padded", "visible"]

PADDINGS = (0.0, 0.5, 1.0)
"""Borders in the order in which they are tried, as shares of the picture's height."""
MIN_ASPECT = 1 / 20
"""Smallest ratio of the sides: a narrower stripe shows no face, and would leave a detector less than a pixel."""


def detect_padded(detect: Callable[[Picture], list[Face]], picture: Picture) -> list[Face]:
    """Run `detect` on the picture and, while it finds no face, again with a wider and wider black border around it.

    Faces outside of the picture and faces with non-finite coordinates are dropped.

    Args:
        detect: one pass of a detector.
        picture: (H, W, 3).

    Returns:
        The faces in pixels of `picture`; empty if none was found with any border.
    """
    height, width = picture.shape[:2]
    if min(height, width) < MIN_ASPECT * max(height, width):
        return []
    for part in PADDINGS:
        border = int(height * part)
        padded = cv2.copyMakeBorder(picture, *(border,) * 4, cv2.BORDER_CONSTANT) if border else picture
        faces = [_shifted(face, border) for face in detect(np.asarray(padded, dtype=np.uint8))]
        faces = [face for face in faces if visible(face, width, height)]
        if faces:
            return faces
    return []


def _shifted(face: Face, border: int) -> Face:
    offset = np.float32(border)
    return replace(face, box=face.box - offset, keypoints=face.keypoints - offset) if border else face


def visible(face: Face, width: int, height: int) -> bool:
    """Whether at least a pixel of the box is in the picture and all coordinates are finite."""
    x1, y1, x2, y2 = (float(v) for v in face.box)
    inside = min(x2, width) - max(x1, 0) >= 1 and min(y2, height) - max(y1, 0) >= 1
    return inside and bool(np.isfinite(face.box).all() and np.isfinite(face.keypoints).all())
