"""Motion intensity: how much a face moves within a chunk (HunyuanPortrait, arXiv 2503.18860, section 3.2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVELS", "intensities", "intensity"]

LEVELS = 128
"""Number of intensity levels."""
NOSE = 2
EXPRESSION_SCALE = 1024
HEAD_SCALE = 256


def intensity(keypoints: NDArray[Any]) -> tuple[int, int]:
    """Measure how much the head and the face move in one chunk of consecutive frames.

    Both are mean distances from the chunk's mean position, of the nose for the head and of the five points about the
    nose for the expression, in units of the face's size in the chunk's first frame.

    Args:
        keypoints: (T, 5, 2), pixels, the nose at index 2.

    Returns:
        head and expression, 0..127. A face without extent in the first frame makes any movement 127.

    Raises:
        ValueError: another shape, no frame, or a coordinate that is not finite.
    """
    points = np.asarray(keypoints, dtype=np.float64)
    if points.ndim != 3 or points.shape[0] == 0 or points.shape[1:] != (5, 2):
        raise ValueError(f"keypoints are (T, 5, 2) with T of at least 1, not {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError("keypoints hold coordinates that are not finite")
    nose = points[:, NOSE]
    relative = points - nose[:, None]
    size = float(np.linalg.norm(np.ptp(relative[0], axis=0)))
    return (
        _level(_mean_distance(nose) * HEAD_SCALE, size),
        _level(_mean_distance(relative) * EXPRESSION_SCALE, size),
    )


def intensities(keypoints: NDArray[Any], window: int) -> NDArray[np.int64]:
    """Measure the intensity of every chunk of a clip: `window` frames each, the last one shorter.

    Args:
        keypoints: (F, 5, 2), pixels.
        window: number of frames per chunk.

    Returns:
        (ceil(F / window), 2), head and expression.

    Raises:
        ValueError: as `intensity`, or a window below 1.
    """
    if window < 1:
        raise ValueError(f"a window has at least 1 frame, not {window}")
    # At least one chunk, so that a clip without frames is refused like a chunk without.
    starts = range(0, max(len(keypoints), 1), window)
    return np.array([intensity(keypoints[start : start + window]) for start in starts], dtype=np.int64)


def _mean_distance(points: NDArray[np.float64]) -> float:
    """From the mean over time (axis 0), over everything."""
    return float(np.linalg.norm(points - points.mean(axis=0), axis=-1).mean())


def _level(movement: float, size: float) -> int:
    """movement / size, truncated and clipped."""
    # Compared before dividing: the quotient may be infinite.
    top = LEVELS - 1
    if movement >= top * size:
        return top if movement > 0 else 0
    return int(movement / size)
