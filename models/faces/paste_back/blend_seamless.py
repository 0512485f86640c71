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
_GAINS = 1 / MAX_GAIN, MAX_GAIN
EMA_ALPHA = 0.15
"""Weight of a frame's own gain in the moving average over frames, which prevents flicker."""
SAME_LEVELS = 12.0
"""Difference in levels, of 255, up to which the portrait's fine detail is kept in full."""
DARKEST, BRIGHTEST = 8, 247
"""Levels beyond which the ratio of two colours is unreliable."""
STRIP_ROWS = 256
"""Rows that are blended at once, so that the working set fits into the processor's cache."""
_HALVES_UP = np.full(4, 1 / 1024)
"""What is added before rounding to even, so that halves are rounded up; all values are multiples of 1/256."""

_LINEAR = ((np.arange(256) / 255.0 + 0.055) / 1.055) ** 2.4
_LINEAR[:11] = np.arange(11) / 255.0 / 12.92  # IEC 61966-2-1
_LEVELS = np.arange(256)
_RELIABLE = (_LEVELS > DARKEST) & (_LEVELS < BRIGHTEST)
_PAIRS = (256 * _LEVELS[:, None] + _LEVELS)[_RELIABLE][:, _RELIABLE].ravel()
"""Reliable pairs of a portrait's level and a frame's, as one number."""
_RATIOS = np.repeat(_LINEAR[_RELIABLE], _RELIABLE.sum()) / np.tile(_LINEAR[_RELIABLE], _RELIABLE.sum())
_PAIRS, _RATIOS = _PAIRS[_RATIOS.argsort(kind="stable")], np.sort(_RATIOS, kind="stable")
"""Both in the order of their ratio in linear light."""


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
        self._mask = np.asarray(np.round(rows[:, None] * columns[None, :] * 256) / 256, dtype=np.float32)
        self._gain = np.ones(3)
        self._frames = 0
        self._own: _Own | None = None

    def __call__(self, frame: Picture) -> Picture:
        """Return a new picture (H, W, 3) with `frame` (S, S, 3) uint8 in the box."""
        if self._own is None or self._own.crop.shape[0] != frame.shape[0]:
            self._own = _Own(self._picture, self._box, frame.shape[0])
        own = self._own
        frame = self._matched(frame, own)
        sides = own.full.shape[1], own.full.shape[0]
        new = _resized(frame, sides, cv2.INTER_CUBIC)
        kept = _resized(_sameness(frame, own.crop), sides, cv2.INTER_LINEAR)
        pasted = self._picture.copy()
        inside = pasted[self._place]
        for top in range(0, sides[1], STRIP_ROWS):
            part = slice(top, top + STRIP_ROWS)
            inside[part] = _mixed(inside[part], new[part], own.full[part], kept[part], self._mask[part])
        return pasted

    def _matched(self, frame: Picture, own: _Own) -> Picture:
        """Match the frame's colours to the portrait's, by the border."""
        gain = np.clip([_median_ratio(*levels) for levels in zip(own.border, _border(frame), strict=True)], *_GAINS)
        share = max(EMA_ALPHA, 1 / (self._frames + 1))
        self._gain = self._gain ** (1 - share) * gain**share
        self._frames += 1
        return np.asarray(cv2.LUT(frame, _curve(self._gain)), dtype=np.uint8)


class _Own:
    """The portrait's own content of the box.

    Attributes:
        crop: (S, S, 3), in the size of a frame.
        full: the crop in the size of the box, with no more detail than a frame has.
        border: see `_border`.
    """

    def __init__(self, picture: Picture, box: Box, side: int) -> None:
        x1, y1, x2, y2 = box
        self.crop = crop_head(picture, box, side)
        self.full = _resized(self.crop, (x2 - x1, y2 - y1), cv2.INTER_CUBIC)
        self.border = _border(self.crop)


def _sameness(frame: Picture, own: Picture) -> NDArray[np.uint8]:
    """Return a mask (S, S), 0..255, of where frame and portrait show the same."""
    red, green, blue = cv2.split(cv2.absdiff(frame, own))
    apart = cv2.dilate(cv2.max(cv2.max(red, green), blue), np.ones((5, 5), np.uint8)).astype(np.float32)
    same: Floats = np.asarray(cv2.GaussianBlur(apart, (0, 0), 3), dtype=np.float32)
    same /= SAME_LEVELS
    np.subtract(2, same, out=same)
    same *= 255
    return np.clip(same, 0, 255, out=same).astype(np.uint8)


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


def _border(frame: Picture) -> NDArray[np.uint8]:
    """Return the levels of the frame's border, (3, N), where colours are compared."""
    side = len(frame)
    width = max(int(FADE_WIDTH * side), 1)
    top, bottom = frame[:width], frame[side - width :]
    left, right = frame[width : side - width, :width], frame[width : side - width, side - width :]
    return np.concatenate([part.reshape(-1, 3).T for part in (top, bottom, left, right)], axis=1)


def _median_ratio(target: NDArray[np.uint8], source: NDArray[np.uint8]) -> float:
    """Return the median ratio, in linear light, of pixels that are reliable in both; 1 if few are.

    There are fewer pairs of levels than pixels: they are counted, not sorted.
    """
    counts = np.bincount(target.astype(np.uint16) << 8 | source, minlength=256**2)[_PAIRS].cumsum()
    count = int(counts[-1])
    if count <= len(target) // 10:
        return 1.0
    low, high = np.searchsorted(counts, [(count - 1) // 2, count // 2], side="right")
    return float((_RATIOS[low] + _RATIOS[high]) / 2)


def _curve(gain: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(1, 256, 3): every level multiplied in linear light."""
    linear = np.clip(_LINEAR[:, None] * gain, 0, 1)
    levels = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(levels * 255).astype(np.uint8)[None]


def _mixed(picture: Picture, new: Picture, old: Picture, kept: NDArray[np.uint8], mask: Floats) -> Picture:
    """A strip: the frame, the portrait's detail where it is kept, faded into the portrait by the mask (0..1)."""
    own_detail = cv2.subtract(picture, old, dtype=cv2.CV_16S)
    detail = cv2.multiply(own_detail, cv2.merge([kept] * 3), scale=1 / 255, dtype=cv2.CV_16S)
    full = cv2.add(new, detail, dtype=cv2.CV_8U)
    change = cv2.subtract(full, picture, dtype=cv2.CV_16S)
    faded = cv2.multiply(change, cv2.merge([mask] * 3), dtype=cv2.CV_32F)
    return np.asarray(cv2.add(picture, cv2.add(faded, _HALVES_UP), dtype=cv2.CV_8U), np.uint8)
