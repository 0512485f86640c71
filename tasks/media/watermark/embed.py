"""Embed the watermark into frames."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.media.watermark.keys import WatermarkKey
from tasks.media.watermark.model import ModelWatermarker
from tasks.media.watermark.pattern import HOLD_SECONDS, tile_of, tile_side
from troupe.faces import Picture

__all__ = ["PSNR", "Watermarker", "make_watermarker"]

PSNR = 42.6
"""Lowest PSNR of a marked frame, dB."""
_FLOOR, _GAIN, _CEILING = 1.0, 0.3, 3.5
"""Strength of the pattern, levels of 255: `_FLOOR` and `_GAIN` times the local activity, at most `_CEILING`."""
_PER_TILE = -0.1
"""Exponent by which the strength decreases with the number of tiles, each of which a reader adds to the others."""
_WINDOW = 9
_MOST_MSE = 255.0**2 / 10 ** (PSNR / 10)


class Watermarker:
    """Adds a payload to frames of one size; the pattern is made once.

    The luma changes more where the frame is busy, which hides it, and less where it is smooth. Every second the
    pattern's sign changes.

    Args:
        key: the key.
        payload: 8 bytes.
        size: (width, height) of the frames.
        rate: frames per second.
    """

    def __init__(self, key: WatermarkKey, payload: bytes, size: tuple[int, int], rate: Fraction) -> None:
        width, height = size
        tile = tile_of(key.secret, payload, tile_side(width, height))
        repeats = -(-height // len(tile)), -(-width // len(tile))
        self._pattern: NDArray[np.float32] = np.tile(tile, repeats)[:height, :width].copy()
        self._hold = max(1, round(rate * HOLD_SECONDS))
        self._around = np.ones((5, 5), np.uint8)
        strengths = np.clip(_FLOOR + _GAIN * np.arange(256), 0, _CEILING)
        tiles = width * height / len(tile) ** 2
        self._strengths = (strengths * min(1.0, tiles**_PER_TILE)).astype(np.float32)

    def __call__(self, frame: Picture, index: int) -> Picture:
        """Return frame number `index`, (height, width, 3) uint8, with the watermark."""
        luma = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        activity = cv2.absdiff(luma, cv2.blur(luma, (_WINDOW, _WINDOW)))
        # The smallest activity around: texture hides a pattern, the smooth surroundings of an edge do not.
        activity = cv2.erode(cv2.blur(activity, (_WINDOW, _WINDOW)), self._around)
        change = cv2.multiply(cv2.LUT(activity, self._strengths), self._pattern)
        mse = cv2.norm(change, cv2.NORM_L2SQR) / change.size
        scale = min(1.0, (_MOST_MSE / mse) ** 0.5) * (1 if index // self._hold % 2 == 0 else -1)
        change = cv2.merge([cv2.multiply(change, scale)] * 3)
        return np.asarray(cv2.add(frame, change, dtype=cv2.CV_8U), np.uint8)


def make_watermarker(
    key: WatermarkKey, payload: bytes, size: tuple[int, int], rate: Fraction
) -> Callable[[Picture, int], Picture]:
    """Return what adds a payload to frames: troupe's own watermark, or the key's model; arguments of `Watermarker`.

    Raises:
        SettingsError: the model cannot be used.
    """
    return ModelWatermarker(key, payload) if key.model else Watermarker(key, payload, size, rate)
