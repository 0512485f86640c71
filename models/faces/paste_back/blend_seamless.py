"""An animated crop back in its picture so that nobody sees where it begins."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.faces.crops import Box, crop_head
from troupe.faces import Floats, Picture

__all__ = ["SeamlessPaster"]

FADE_WIDTH = 0.14
"""Of each side of the box, where the crop fades into the picture; a side on the picture's own border does not fade."""
MAX_GAIN = 1.6
"""The largest factor, up or down, by which the colour of a frame is changed, in linear light."""
EMA_ALPHA = 0.15
"""How much of a frame's own factor counts beside those before it: colour must not flicker."""
SAME_LEVELS = 12.0
"""Levels, of 255, by which frame and portrait may differ where the portrait's finest detail is kept in full."""
DARKEST, BRIGHTEST = 8, 247
"""Levels beyond which the ratio of two colours says nothing."""
STRIP_ROWS = 256
"""Rows that are mixed at once: what is worked on fits into a processor's cache, whatever the picture's size."""

_LINEAR = ((np.arange(256) / 255.0 + 0.055) / 1.055) ** 2.4
_LINEAR[:11] = np.arange(11) / 255.0 / 12.92  # IEC 61966-2-1
_ONE = np.int32(256)


class SeamlessPaster:
    """Pastes frame after frame of one clip, in their order, into the same place of one picture.

    Three things hide the seam. The frame's colours are multiplied, in linear light and channel by channel, by what
    brings its border to the portrait's own there: the median over the border, calmed over time. A smooth mask fades
    the frame out towards the border. And where the frame shows what the portrait shows, the portrait's own detail,
    finer than the network's pixels, is put back: grain and sharpness do not end at the box. Outside of the box no
    pixel changes, and a crop that is the portrait's own gives back the portrait.

    Args:
        picture: (H, W, 3), kept as it is.
        box: where the frames belong, inside the picture.

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
        """A new picture (H, W, 3) with `frame` (S, S, 3) uint8 in the box."""
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
        """The portrait's own crop, as large as a frame."""
        if self._own is None or self._own.shape[0] != side:
            self._own = crop_head(self._picture, self._box, side)
        return self._own

    def _matched(self, frame: Picture, own: Picture) -> Picture:
        """The frame in the colours of the portrait, as far as its border tells them."""
        border = _border(frame.shape[0])
        gain = np.ones(3)
        for channel in range(3):
            there, here = own[..., channel][border], frame[..., channel][border]
            telling = (there > DARKEST) & (there < BRIGHTEST) & (here > DARKEST) & (here < BRIGHTEST)
            if telling.sum() > border.sum() // 10:
                gain[channel] = np.median(_LINEAR[there[telling]] / _LINEAR[here[telling]])
        gain = np.clip(gain, 1 / MAX_GAIN, MAX_GAIN)
        share = max(EMA_ALPHA, 1 / (self._frames + 1))
        self._gain = self._gain ** (1 - share) * gain**share
        self._frames += 1
        return np.asarray(cv2.LUT(frame, _curve(self._gain)), dtype=np.uint8)

    @staticmethod
    def _sameness(frame: Picture, own: Picture) -> NDArray[np.uint8]:
        """(S, S) 0..255: where the frame shows what the portrait shows."""
        apart = cv2.absdiff(frame, own).max(axis=2).astype(np.float32)
        apart = np.asarray(cv2.GaussianBlur(cv2.dilate(apart, np.ones((5, 5), np.uint8)), (0, 0), 3))
        return np.clip(255 * (2 - apart / SAME_LEVELS), 0, 255).astype(np.uint8)


def _fade(length: int, fades: tuple[bool, bool]) -> Floats:
    """(length,) weights: 1 in the middle, a smooth rise from 0 at each end that fades."""
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
    """(side, side): the frame's outer part, by which colours are compared."""
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
