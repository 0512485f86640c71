"""How open the mouth is in each frame of a video, from the five keypoints and the pixels about the mouth."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.quality.sync import without_trend
from troupe import Picture
from troupe.faces import Floats

__all__ = ["MouthMeter", "TrackedMouth"]

_STEP = 3
"""Frames from one detection of the face to the next; heads turn slowly, and mouths open fast."""

_SIDE = 16
"""Side of the patch about the mouth, in pixels of its own."""
_ABOVE = 0.35
"""Height of the patch above the corners of the mouth, as a share of its width; the rest of the square is below."""
_BRIGHT = 90
"""Percentile of a patch's grey levels that stands for the lit skin."""
_CHANGES = 3
"""Number of main changes that are followed."""
_STILL = 1e-9
"""What counts as no change."""
_MIN_WIDTH = 4.0
"""Pixels between the corners of the mouth below which nothing can be seen of it."""


class MouthMeter:
    """Openness of the mouth over a video, updated frame by frame.

    The patch between the corners of the mouth and below is cut out upright, and its main changes over the video are
    followed: of a speaker, it is the mouth that changes most. They count as far as they look like its opening. Only
    differences over time have a meaning.
    """

    def __init__(self) -> None:
        self._patches: list[Floats] = []

    def update(self, frame: Picture, keypoints: Floats | None) -> None:
        """Add the next frame.

        Args:
            frame: (H, W, 3).
            keypoints: (5, 2) of the face, as in `Face.keypoints`; None where none was found.
        """
        self._patches.append(np.full(_SIDE**2, np.nan, np.float32) if keypoints is None else _patch(frame, keypoints))

    def compute(self) -> NDArray[np.float64]:
        """Return the openness of the mouth, (F,), larger for more open; NaN where it was not seen."""
        patches = np.array(self._patches, np.float64).reshape(-1, _SIDE**2)
        opening = np.full(len(patches), np.nan)
        seen = np.isfinite(patches).all(axis=1)
        if not seen.any():
            return opening
        changes = np.stack([without_trend(column) for column in patches[seen].T], axis=1)
        main = changes @ np.linalg.eigh(changes.T @ changes)[1][:, -_CHANGES:]
        opening[seen] = main @ _correlations(main, _looks_open(patches[seen]))
        return opening


class TrackedMouth:
    """Openness of the mouth over a video whose faces are not known; a detector finds them.

    The face is detected in every third frame, and its keypoints are interpolated in between.

    Args:
        find: returns the keypoints, (5, 2), of the face in a frame; None if there is none.
    """

    def __init__(self, find: Callable[[Picture], Floats | None]) -> None:
        self._find, self._meter = find, MouthMeter()
        self._before: Floats | None = None
        self._between: list[Picture] = []
        self._count = 0

    def update(self, frame: Picture) -> None:
        """Add the next frame, (H, W, 3); it is not copied."""
        if self._count % _STEP:
            self._between.append(frame)
        else:
            self._detect(frame)
        self._count += 1

    def compute(self) -> NDArray[np.float64]:
        """Return what `MouthMeter.compute` does; no frame may be added afterwards."""
        if self._between:
            self._detect(self._between.pop())
        return self._meter.compute()

    def _detect(self, frame: Picture) -> None:
        """Detect the face in a frame, and measure those before it."""
        before, after = self._before, self._find(frame)
        steps = len(self._between) + 1
        for number, skipped in enumerate(self._between, 1):
            share = np.float32(number / steps)
            points = None if before is None or after is None else before + share * (after - before)
            self._meter.update(skipped, points)
        self._meter.update(frame, after)
        self._before, self._between = after, []


def _looks_open(patches: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a rough measure of openness, (F,), from patches, (F, side * side).

    An open mouth is dark between the lips, or it shows teeth, which are bright, but have edges.
    """
    squares = patches.reshape(-1, _SIDE, _SIDE)
    dark = without_trend(-squares[:, _SIDE // 2 :].mean(axis=(1, 2)))
    edges = without_trend(np.abs(np.diff(squares, axis=1)).mean(axis=(1, 2)))
    return np.asarray(dark / max(dark.std(), _STILL) + edges / max(edges.std(), _STILL))


def _correlations(columns: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the correlation of each column, (F, N), with values, (F,); 0 for what does not change."""
    columns, values = columns - columns.mean(axis=0), values - values.mean()
    return np.asarray(values @ columns / np.maximum(np.linalg.norm(columns, axis=0) * np.linalg.norm(values), _STILL))


def _patch(frame: Picture, keypoints: Floats) -> Floats:
    """Return the grey levels about the mouth, (side * side,), 1 for lit skin; NaN where the mouth is too small."""
    left, right = keypoints[3].astype(np.float64), keypoints[4].astype(np.float64)
    width = float(np.linalg.norm(right - left))
    if not width >= _MIN_WIDTH:
        return np.full(_SIDE**2, np.nan, np.float32)
    along = right - left
    down = np.array([-along[1], along[0]])
    corner = left - _ABOVE * down
    fine = 2 * _SIDE
    source = np.array([corner, corner + along, corner + down], np.float32)
    target = np.array([[0, 0], [fine, 0], [0, fine]], np.float32)
    warp = cv2.getAffineTransform(source, target)
    cut = np.asarray(cv2.warpAffine(frame, warp, (fine, fine), borderMode=cv2.BORDER_REPLICATE), np.float32)
    small = cut.reshape(_SIDE, 2, _SIDE, 2, 3).mean(axis=(1, 3, 4)).reshape(-1)
    bright = float(np.percentile(small, _BRIGHT))
    return np.asarray(small / max(bright, 1.0), np.float32)
