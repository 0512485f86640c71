"""Presentation times and frame rate of clips."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Timing", "even_timing", "extended_timing", "nearest_standard_rate", "timing_of_ticks"]

Seconds: TypeAlias = NDArray[np.float64]
Ticks: TypeAlias = NDArray[np.int64]

STANDARD_RATES = tuple(
    sorted({Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120)} | {Fraction(rate) for rate in range(1, 241)})
)
"""Rates that cameras and editors use, frames per second."""
MAX_RATE = STANDARD_RATES[-1]
DEFAULT_RATE = Fraction(25)
"""Rate of a clip without usable times, such as a single image."""
JITTER_SECONDS = 0.002
"""Seconds by which evenly spaced frames may deviate from the grid."""
DRIFT_SECONDS = 0.005
"""Seconds by which a standard rate may change the length of an unevenly spaced clip; beyond, its mean is kept."""
_SAME_INSTANT = 1e-6


@dataclass(frozen=True, eq=False)
class Timing:
    """Presentation times of frames.

    Attributes:
        times: (F,) seconds since the first frame, increasing; on the exact grid where the clip is evenly spaced.
        rate: frames per second: exact if evenly spaced, else the mean over the clip.
        seconds: seconds from the first frame to the end of the last one.
        even: whether the frames are evenly spaced.
    """

    times: Seconds
    rate: Fraction
    seconds: float
    even: bool

    def between(self, start: float, end: float | None) -> tuple[int, int]:
        """Return (first, last + 1) of the frames with start <= time < end; `end` None is the clip's end."""
        first = int(np.searchsorted(self.times, start - _SAME_INSTANT))
        last = len(self.times) if end is None else int(np.searchsorted(self.times, end - _SAME_INSTANT))
        return first, max(first, last)

    def part(self, first: int, last: int) -> Timing:
        """Return the timing of frames `first` to `last` - 1, starting at 0."""
        if self.even:
            return even_timing(last - first, self.rate)
        ends = [*self.times, self.seconds]
        seconds = float(ends[last] - ends[first])
        return Timing(self.times[first:last] - self.times[first], self.rate, seconds, even=False)

    def resampled(self, rate: Fraction) -> tuple[Timing, Ticks]:
        """Resample to a constant rate; the length is kept within half a frame.

        Each frame moves to the nearest time on the new grid. Frames that share a grid time with a later one are
        dropped, and a frame is repeated until the next one's time.

        Returns:
            the new timing, and for each of its frames the index of the source frame, in non-decreasing order.
        """
        count = max(round(self.seconds * rate), 1)
        positions = np.floor(self.times * float(rate) + 0.5 + _SAME_INSTANT)
        shown = np.searchsorted(positions, np.arange(count), side="right") - 1
        return even_timing(count, rate), np.maximum(shown, 0).astype(np.int64)


def timing_of_ticks(ticks: Ticks, last_duration: int, tick: Fraction, hint: Fraction | None) -> Timing:
    """Derive a clip's timing from its frames' time stamps.

    Containers round time stamps to ticks and state wrong or rounded rates, so a rate is accepted if the frames are on
    its grid, and the stated rate is only the first candidate.

    Args:
        ticks: (F,) time stamps, F >= 1.
        last_duration: duration of the last frame in ticks; 0 if unknown.
        tick: seconds per tick.
        hint: frame rate that the container states.
    """
    count = len(ticks)
    steps = np.diff(ticks)
    if count == 1 or not (steps > 0).all():
        rate = nearest_standard_rate(hint) if hint is not None and 0 < hint <= MAX_RATE else DEFAULT_RATE
        return even_timing(count, rate)
    times = (ticks - ticks[0]).astype(np.float64) * float(tick)
    mean = Fraction(count - 1) / (int(ticks[-1] - ticks[0]) * tick)
    grid = _grid_rate(times, float(tick), _candidates(mean, int(np.median(steps)) * tick, hint))
    if grid is not None:
        return even_timing(count, grid)
    # The container states the last frame's duration; if it does not, use the mean of the others.
    rest = last_duration * tick if last_duration > 0 else 1 / mean
    length = int(ticks[-1] - ticks[0]) * tick + rest
    mean = Fraction(count) / length
    nearest = nearest_standard_rate(mean)
    if abs(count / nearest - length) > DRIFT_SECONDS:
        nearest = mean.limit_denominator(1001)
    return Timing(times, nearest, float(length), even=False)


def even_timing(count: int, rate: Fraction) -> Timing:
    """Return the timing of `count` frames at a constant rate."""
    return Timing(np.arange(count) / float(rate), rate, float(count / rate), even=True)


def extended_timing(timing: Timing, frames: int, rate: Fraction) -> Timing:
    """Return the timing continued to `frames` frames, at a constant rate."""
    if timing.even:
        return even_timing(frames, timing.rate)
    further = frames - len(timing.times)
    times = np.concatenate([timing.times, timing.seconds + np.arange(further) / float(rate)])
    return Timing(times, timing.rate, timing.seconds + float(further / rate), even=False)


def nearest_standard_rate(rate: Fraction) -> Fraction:
    """Return the standard rate that a rounded one such as 29.97 or 23.976 stands for, else the rate itself."""
    nearest = min(STANDARD_RATES, key=lambda standard: abs(standard - rate))
    # 30 and 30000/1001 are 0.1% apart.
    return nearest if abs(nearest - rate) <= nearest / 5000 else rate


def _candidates(mean: Fraction, step: Fraction, hint: Fraction | None) -> list[Fraction]:
    """Return the rates to try, likeliest first, without duplicates."""
    stated = [] if hint is None or hint <= 0 else [nearest_standard_rate(hint), hint]
    nearest = sorted(STANDARD_RATES, key=lambda standard: abs(standard - mean))[:3]
    return list(dict.fromkeys([*stated, 1 / step, *nearest]))


def _grid_rate(times: Seconds, tick: float, candidates: list[Fraction]) -> Fraction | None:
    """Return the first rate whose grid fits the frames best; None if none fits."""

    def spread(rate: Fraction) -> float:
        deviation = times - np.arange(len(times)) / float(rate)
        # A deviation within a tick counts as exact.
        return max(float(deviation.max() - deviation.min()), tick * 1.01)

    best = min(candidates, key=spread)
    return best if spread(best) <= max(JITTER_SECONDS, tick * 1.01) else None
