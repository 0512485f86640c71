"""Whether the mouth moves with the sound: the offset between the two, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["MAX_OFFSET", "MIN_FRAMES", "Sync", "measure_sync", "without_trend"]

MAX_OFFSET = 15
"""Largest offset that is looked for, in frames."""
MIN_FRAMES = 25
"""Number of frames in which mouth and sound must overlap at every offset."""
_TREND = 25
"""Frames over which slow changes are averaged and removed: loudness of a phrase, drift of the measure."""
_USUAL = (0.02, 0.98)
"""Quantiles beyond which a value counts as no more than they are: a glimpse of something else than the mouth."""
_CLIP = 3.0
"""Standard deviations to which sudden changes are bounded."""
_STILL = 1e-9

Series = NDArray[np.float64]


@dataclass(frozen=True)
class Sync:
    """Synchrony of mouth and sound.

    Attributes:
        offset_frames: frames by which the sound comes after the mouth; negative if before it.
        confidence: correlation of mouth and sound at that offset, less the median of all offsets: 0.5 to 0.9 where the
            mouth follows the sound; where it does not, up to 0.6 in 3 s, by chance, and less in longer clips.
    """

    offset_frames: int
    confidence: float


def measure_sync(opening: ArrayLike, envelope: ArrayLike) -> Sync | None:
    """Find the offset between a mouth's opening and a sound's envelope, by normalised cross-correlation.

    Args:
        opening: (F,) openness of the mouth in each frame, in any unit, larger for more open. NaN where unknown.
        envelope: (F,) amplitude of the sound in each frame, from 0.

    Returns:
        the synchrony; None if the clip is too short, or mouth or sound do not change.

    Raises:
        ValueError: the lengths differ.
    """
    mouth, sound = np.asarray(opening, np.float64), np.asarray(envelope, np.float64)
    if mouth.ndim != 1 or mouth.shape != sound.shape:
        raise ValueError(f"opening and envelope must be (F,) each, got {mouth.shape} and {sound.shape}")
    if len(mouth) < MIN_FRAMES + MAX_OFFSET or np.isfinite(mouth).sum() < MIN_FRAMES:
        return None
    mouth, sound = _prepared(_filled(mouth)), _prepared(sound)
    if not mouth.any() or not sound.any():
        return None
    offsets = np.arange(-MAX_OFFSET, MAX_OFFSET + 1)
    correlations = np.array([_correlation(mouth, sound, int(offset)) for offset in offsets])
    best = int(correlations.argmax())
    return Sync(int(offsets[best]), float(correlations[best] - np.median(correlations)))


def _filled(values: Series) -> Series:
    known = np.flatnonzero(np.isfinite(values))
    return np.interp(np.arange(len(values)), known, values[known])


def without_trend(values: Series) -> Series:
    """Return a series, (F,), without slow changes: less its mean over about a second."""
    window = np.hanning(2 * _TREND + 1)
    weights = np.convolve(np.ones(len(values)), window, mode="full")[_TREND:-_TREND]
    return np.asarray(values - np.convolve(values, window, mode="full")[_TREND:-_TREND] / weights)


def _prepared(values: Series) -> Series:
    """Remove slow changes and bound outliers; 0 throughout if nothing changes."""
    fast = without_trend(np.clip(values, *np.quantile(values, _USUAL)))
    deviation = float(fast.std())
    if deviation <= _STILL * float(np.abs(values).max()):
        return np.zeros_like(values)
    return np.clip(fast / deviation, -_CLIP, _CLIP)


def _correlation(mouth: Series, sound: Series, offset: int) -> float:
    """Return the correlation of the frames that overlap when the sound comes `offset` frames after the mouth.

    It is lower where fewer frames overlap.
    """
    first, last = max(-offset, 0), len(mouth) - max(offset, 0)
    a, b = mouth[first:last], sound[first + offset : last + offset]
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    # Fewer frames agree by chance more easily, by the root of their number.
    return float(a @ b) / norm * float(np.sqrt(len(a) / len(mouth))) if norm > 0 else 0.0
