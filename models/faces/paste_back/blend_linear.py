"""Paste-back of an animated crop with linear edges, the released blend; and the choice of a blend."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from models.faces.crops import Box
from models.faces.paste_back.blend_seamless import SeamlessPaster
from troupe.errors import SettingsError
from troupe.faces import Floats, Picture
from troupe.job import BLENDS

__all__ = ["Paster", "make_paster", "paste_mask"]

FADE_WIDTH = 0.1
"""Width of the linear ramp, as a share of each side of the box."""
WHITE = np.float32(255)


def paste_mask(height: int, width: int) -> Floats:
    """Return the opacity of the crop: 1 inside, with linear ramps over the outer tenth of every side.

    Returns:
        (height, width, 1) float32 in [0, 1].
    """
    mask = np.ones((height, width, 1), dtype=np.float32)
    # Ramps in float64, columns before rows: this rounds the corners as the release does.
    columns, rows = (np.linspace(0, 1, int(FADE_WIDTH * side)) for side in (width, height))
    mask[:, : len(columns)] *= columns[None, :, None]
    mask[:, width - len(columns) :] *= columns[None, ::-1, None]
    mask[: len(rows)] *= rows[:, None, None]
    mask[height - len(rows) :] *= rows[::-1, None, None]
    return mask


class Paster:
    """Pastes frames into the same box of one picture.

    Mask and background are computed once; each frame costs a copy of the picture and arithmetic on the box.

    Args:
        picture: (H, W, 3), not modified.
        box: position of the frames, inside the picture.

    Raises:
        ValueError: the box is empty or not inside the picture.

    Example:
        >>> paster = Paster(portrait.picture, portrait.box)
        >>> frames = (paster(frame) for frame in animated)
    """

    def __init__(self, picture: Picture, box: Box) -> None:
        x1, y1, x2, y2 = box
        height, width = picture.shape[:2]
        if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
            raise ValueError(f"box {box} is not inside the picture of {width}x{height}")
        self._picture = picture.copy()
        self._place = (slice(y1, y2), slice(x1, x2))
        self._mask = paste_mask(y2 - y1, x2 - x1)
        self._background = picture[self._place].astype(np.float32) / WHITE * (1 - self._mask)

    def __call__(self, frame: Picture) -> Picture:
        """Return a new picture (H, W, 3) with `frame` (h, w, 3) uint8, of any size, resized into the box."""
        height, width = self._mask.shape[:2]
        resized = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
        pasted = self._picture.copy()
        pasted[self._place] = ((resized / WHITE * self._mask + self._background) * WHITE).astype(np.uint8)
        return pasted


def make_paster(blend: str, picture: Picture, box: Box) -> Callable[[Picture], Picture]:
    """Return the paster of a job's `blend`: `seamless`, or `reference` for the released blend.

    Raises:
        SettingsError: unknown blend.
        ValueError: the box is empty or not inside the picture.
    """
    if blend not in BLENDS:
        raise SettingsError(f"blend is {blend!r}; use {' or '.join(BLENDS)}")
    return SeamlessPaster(picture, box) if blend == "seamless" else Paster(picture, box)
