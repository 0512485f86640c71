"""When a clip's frames are shown, and how many there are a second."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Timing", "evenly", "nearest_standard_rate", "timing"]

Seconds: TypeAlias = NDArray[np.float64]
Ticks: TypeAlias = NDArray[np.int64]

STANDARD_RATES = tuple(
    sorted({Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120)} | {Fraction(rate) for rate in range(1, 241)})
)
"""Rates that cameras and editors use, frames a second."""
MAX_RATE = STANDARD_RATES[-1]
DEFAULT_RATE = Fraction(25)
"""For a clip that has no usable times, such as a single picture."""
JITTER_SECONDS = 0.002
"""How far frames may lie off an even grid and still count as evenly spaced."""
DRIFT_SECONDS = 0.005
"""How much a standard rate may change the length of an unevenly spaced clip before its own mean is kept."""
_SAME_INSTANT = 1e-6


@dataclass(frozen=True, eq=False)
class Timing:
    """When frames are shown.

    Attributes:
        times: (F,) seconds since the first frame, increasing; on the exact grid where the clip is evenly spaced.
        rate: frames a second: exact where evenly spaced, else the mean over the whole clip.
        seconds: from the first frame until the last one's end.
        even: whether the frames are evenly spaced.
    """

    times: Seconds
    rate: Fraction
    seconds: float
    even: bool

    def between(self, start: float, end: float | None) -> tuple[int, int]:
        """(first, last + 1) of the frames shown at start <= time < end; `end` None is the clip's end."""
        first = int(np.searchsorted(self.times, start - _SAME_INSTANT))
        last = len(self.times) if end is None else int(np.searchsorted(self.times, end - _SAME_INSTANT))
        return first, max(first, last)

    def part(self, first: int, last: int) -> Timing:
        """The frames from `first` until before `last`, their times counted anew from 0."""
        if self.even:
            return evenly(last - first, self.rate)
        ends = [*self.times, self.seconds]
        seconds = float(ends[last] - ends[first])
        return Timing(self.times[first:last] - self.times[first], self.rate, seconds, even=False)

    def resampled(self, rate: Fraction) -> tuple[Timing, Ticks]:
        """At a constant rate as long as before, within half a frame.

        Each frame is shown at the moment of the new rate that is nearest to its own time. Frames that share a moment
        with a later one are left out, and a frame stays until the next one's moment.

        Returns:
            the timing, and for each of its frames the index of the one that it shows, never falling.
        """
        count = max(round(self.seconds * rate), 1)
        moments = np.floor(self.times * float(rate) + 0.5 + _SAME_INSTANT)
        shown = np.searchsorted(moments, np.arange(count), side="right") - 1
        return evenly(count, rate), np.maximum(shown, 0).astype(np.int64)


def timing(ticks: Ticks, last_duration: int, tick: Fraction, hint: Fraction | None) -> Timing:
    """Read a clip's timing off its frames' time stamps.

    Containers round time stamps to a tick and state rates that are wrong or rounded, so a rate is believed if
    the frames lie on its grid, and the stated one is only the first to be tried.

    Args:
        ticks: (F,) time stamps, F >= 1.
        last_duration: of the last frame, ticks; 0 if unknown.
        tick: seconds.
        hint: the rate that the container states.
    """
    count = len(ticks)
    steps = np.diff(ticks)
    if count == 1 or not (steps > 0).all():
        rate = nearest_standard_rate(hint) if hint is not None and 0 < hint <= MAX_RATE else DEFAULT_RATE
        return evenly(count, rate)
    times = (ticks - ticks[0]).astype(np.float64) * float(tick)
    mean = Fraction(count - 1) / (int(ticks[-1] - ticks[0]) * tick)
    grid = _grid_rate(times, float(tick), _candidates(mean, int(np.median(steps)) * tick, hint))
    if grid is not None:
        return evenly(count, grid)
    # The last frame's length is the container's word; without it, as long as the others on average.
    rest = last_duration * tick if last_duration > 0 else 1 / mean
    length = int(ticks[-1] - ticks[0]) * tick + rest
    mean = Fraction(count) / length
    nearest = nearest_standard_rate(mean)
    if abs(count / nearest - length) > DRIFT_SECONDS:
        nearest = mean.limit_denominator(1001)
    return Timing(times, nearest, float(length), even=False)


def evenly(count: int, rate: Fraction) -> Timing:
    """So many frames at a constant rate."""
    return Timing(np.arange(count) / float(rate), rate, float(count / rate), even=True)


def nearest_standard_rate(rate: Fraction) -> Fraction:
    """The standard rate that a rounded one such as 29.97 or 23.976 stands for, else the rate itself."""
    nearest = min(STANDARD_RATES, key=lambda standard: abs(standard - rate))
    # 30 and 30000/1001 are 0.1% apart.
    return nearest if abs(nearest - rate) <= nearest / 5000 else rate


def _candidates(mean: Fraction, step: Fraction, hint: Fraction | None) -> list[Fraction]:
    """Rates to try, the likeliest first, each once."""
    stated = [] if hint is None or hint <= 0 else [nearest_standard_rate(hint), hint]
    nearest = sorted(STANDARD_RATES, key=lambda standard: abs(standard - mean))[:3]
    return list(dict.fromkeys([*stated, 1 / step, *nearest]))


def _grid_rate(times: Seconds, tick: float, candidates: list[Fraction]) -> Fraction | None:
    """The rate on whose grid the frames lie best, None if they lie on none; the first of several equally good."""

    def spread(rate: Fraction) -> float:
        off = times - np.arange(len(times)) / float(rate)
        # Within a tick is as good as exact.
        return max(float(off.max() - off.min()), tick * 1.01)

    best = min(candidates, key=spread)
    return best if spread(best) <= max(JITTER_SECONDS, tick * 1.01) else None
