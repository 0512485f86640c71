"""Paste-back of an animated crop without a visible seam."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.faces.crops import Box, crop_head
from troupe.faces import Floats, Picture

__all__ = ["SeamlessPaster"]

FADE_WIDTH = 0.14
"""Width of the fade, as a share of each side of the box; a side on the picture's border does not fade."""
MAX_GAIN = 1.6
"""Largest gain, up or down, that is applied to the colours of a frame, in linear light."""
EMA_ALPHA = 0.15
"""Weight of a frame's own gain in the moving average over frames, which prevents flicker."""
SAME_LEVELS = 12.0
"""Difference in levels, of 255, up to which the portrait's fine detail is kept in full."""
DARKEST, BRIGHTEST = 8, 247
"""Levels beyond which the ratio of two colours is unreliable."""
STRIP_ROWS = 256
"""Rows that are blended at once, so that the working set fits into the processor's cache."""

_LINEAR = ((np.arange(256) / 255.0 + 0.055) / 1.055) ** 2.4
_LINEAR[:11] = np.arange(11) / 255.0 / 12.92  # IEC 61966-2-1
_ONE = np.int32(256)


class SeamlessPaster:
    """Pastes the frames of one clip, in order, into the same box of one picture.

    Three steps hide the seam. A gain per channel, in linear light, matches the frame's border to the portrait's: the
    median ratio over the border, smoothed over time. A smooth mask fades the frame out towards the border. Where the
    frame shows the same as the portrait, the portrait's own detail, finer than the network's pixels, is restored, so
    that grain and sharpness do not end at the box. Outside of the box no pixel changes, and the portrait's own crop
    gives back the portrait.

    Args:
        picture: (H, W, 3), not modified.
        box: position of the frames, inside the picture.

    Raises:
        ValueError: the box is empty or not inside the picture.
    """

    def __init__(self, picture: Picture, box: Box) -> None:
        x1, y1, x2, y2 = box
        height, width = picture.shape[:2]
        if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
            raise ValueError(f"box {box} is not inside the picture of {width}x{height}")
        self._picture = picture.copy()
        self._box = box
        self._place = (slice(y1, y2), slice(x1, x2))
        rows = _fade(y2 - y1, fades=(y1 > 0, y2 < height))
        columns = _fade(x2 - x1, fades=(x1 > 0, x2 < width))
        self._mask = np.round(rows[:, None] * columns[None, :] * 256).astype(np.uint16)
        self._gain = np.ones(3)
        self._frames = 0
        self._own: Picture | None = None

    def __call__(self, frame: Picture) -> Picture:
        """Return a new picture (H, W, 3) with `frame` (S, S, 3) uint8 in the box."""
        own = self._as_frame(frame.shape[0])
        frame = self._matched(frame, own)
        x1, y1, x2, y2 = self._box
        sides = (x2 - x1, y2 - y1)
        same = self._sameness(frame, own)
        new, old = (_resized(picture, sides, cv2.INTER_CUBIC) for picture in (frame, own))
        kept = _resized(same, sides, cv2.INTER_LINEAR)
        pasted = self._picture.copy()
        inside = pasted[self._place]
        for top in range(0, sides[1], STRIP_ROWS):
            part = slice(top, top + STRIP_ROWS)
            inside[part] = _mixed(inside[part], new[part], old[part], kept[part], self._mask[part])
        return pasted

    def _as_frame(self, side: int) -> Picture:
        """Return the portrait's own crop in the size of a frame."""
        if self._own is None or self._own.shape[0] != side:
            self._own = crop_head(self._picture, self._box, side)
        return self._own

    def _matched(self, frame: Picture, own: Picture) -> Picture:
        """Match the frame's colours to the portrait's, by the border."""
        border = _border(frame.shape[0])
        gain = np.ones(3)
        for channel in range(3):
            target, source = own[..., channel][border], frame[..., channel][border]
            reliable = (target > DARKEST) & (target < BRIGHTEST) & (source > DARKEST) & (source < BRIGHTEST)
            if reliable.sum() > border.sum() // 10:
                gain[channel] = np.median(_LINEAR[target[reliable]] / _LINEAR[source[reliable]])
        gain = np.clip(gain, 1 / MAX_GAIN, MAX_GAIN)
        share = max(EMA_ALPHA, 1 / (self._frames + 1))
        self._gain = self._gain ** (1 - share) * gain**share
        self._frames += 1
        return np.asarray(cv2.LUT(frame, _curve(self._gain)), dtype=np.uint8)

    @staticmethod
    def _sameness(frame: Picture, own: Picture) -> NDArray[np.uint8]:
        """Return a mask (S, S), 0..255, of where frame and portrait show the same."""
        apart = cv2.absdiff(frame, own).max(axis=2).astype(np.float32)
        apart = np.asarray(cv2.GaussianBlur(cv2.dilate(apart, np.ones((5, 5), np.uint8)), (0, 0), 3))
        return np.clip(255 * (2 - apart / SAME_LEVELS), 0, 255).astype(np.uint8)


def _fade(length: int, fades: tuple[bool, bool]) -> Floats:
    """Return weights (length,): 1 in the middle, rising smoothly from 0 at each end that fades."""
    reach = max(FADE_WIDTH * length, 1.0)
    at = np.arange(length, dtype=np.float32) + 0.5
    weight = np.ones(length, dtype=np.float32)
    for distance, fading in ((at, fades[0]), (at[::-1], fades[1])):
        if fading:
            share = np.clip(distance / reach, 0, 1)
            weight = weight * share * share * (3 - 2 * share)
    return weight


def _resized(picture: NDArray[np.uint8], sides: tuple[int, int], interpolation: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture, sides, interpolation=interpolation), dtype=np.uint8)


def _border(side: int) -> NDArray[np.bool_]:
    """Return a mask (side, side) of the frame's border, where colours are compared."""
    width = max(int(FADE_WIDTH * side), 1)
    border = np.ones((side, side), dtype=bool)
    border[width : side - width, width : side - width] = False
    return border


def _curve(gain: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(1, 256, 3): every level multiplied in linear light."""
    linear = np.clip(_LINEAR[:, None] * gain, 0, 1)
    levels = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(levels * 255).astype(np.uint8)[None]


def _mixed(picture: Picture, new: Picture, old: Picture, kept: NDArray[np.uint8], mask: NDArray[np.uint16]) -> Picture:
    """A strip: the frame, the portrait's detail where it is kept, faded into the portrait by the mask (0..256)."""
    ground = picture.astype(np.int32)
    detail = (ground - old) * kept[..., None].astype(np.int32)
    full = np.clip(new + np.floor_divide(detail + 127, 255), 0, 255)
    weight = mask[..., None].astype(np.int32)
    mixed = np.floor_divide(full * weight + ground * (_ONE - weight) + 128, _ONE)
    return np.asarray(mixed, dtype=np.uint8)
