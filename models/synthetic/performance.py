"""Performances of the synthetic world: how a person moves and speaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

__all__ = ["NEUTRAL", "Moment", "Performance", "Speech"]

Series = NDArray[np.float64]


@dataclass(frozen=True)
class Moment:
    """One instant of a performance.

    Attributes:
        yaw, pitch, roll: degrees; positive turns to the picture's right, looks down, leans to the picture's right.
        x, y: position of the head, in head units (half the width of an average face) right and down of its usual one.
        scale: magnification; a nearer head is larger.
        left, right: openness of the eyes on the picture's left and right, 0..1.
        gaze_x, gaze_y: direction of gaze, -1..1; positive is right and down.
        brows: position of the brows, -1 (frown) .. 1 (raised).
        mouth: openness of the mouth, 0..1.
        width: width of the mouth, -1 (rounded) .. 1 (wide).
        smile: strength of the smile, -1..1.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0
    left: float = 1.0
    right: float = 1.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    brows: float = 0.0
    mouth: float = 0.0
    width: float = 0.0
    smile: float = 0.0


NEUTRAL = Moment()


@dataclass(frozen=True, eq=False)
class Knots:
    """A value over time, interpolated smoothly between knots and constant before the first and after the last.

    Attributes:
        times: (K,) seconds, ascending.
        values: (K,) values at these times.
    """

    times: Series
    values: Series

    def at(self, t: Series) -> Series:
        """Return the values at times (N,)."""
        right = np.clip(np.searchsorted(self.times, t, side="right"), 1, len(self.times) - 1)
        t0, t1 = self.times[right - 1], self.times[right]
        share = np.clip((t - t0) / (t1 - t0), 0, 1)
        share = share * share * (3 - 2 * share)
        return np.asarray(self.values[right - 1] * (1 - share) + self.values[right] * share)


@dataclass(frozen=True, eq=False)
class Speech:
    """Speech, independent of any frame rate.

    Attributes:
        opening: openness of the mouth, 0..1.
        rounding: vowel, -1 (as in "you") .. 1 (as in "see").
        melody: pitch, as a factor on the speaker's median.
    """

    opening: Knots
    rounding: Knots
    melody: Knots


@dataclass(frozen=True, eq=False)
class Performance:
    """Movements and speech over time.

    A seed identifies one endless performance: more frames continue it, and another rate samples it at other times.

    Attributes:
        moments: one moment per frame.
        rate: frames per second.
        speech: the speech in that time.
    """

    moments: tuple[Moment, ...]
    rate: Fraction
    speech: Speech

    @classmethod
    def from_seed(cls, seed: int, frames: int, fps: Fraction | float) -> Performance:
        """Return the start of the performance of a seed, 0 or more."""
        rate = Fraction(fps)
        t = np.arange(frames) / float(rate)
        seconds = frames / float(rate)
        speech = _speech(_stream(seed, "speech"), seconds)
        opening = speech.opening.at(t)

        def wander(name: str, spread: float, gap: tuple[float, float], middle: float = 0.0) -> Series:
            return middle + spread * _wander(_stream(seed, name), seconds, gap).at(t)

        lids = wander("lids", 0.10, (0.8, 2.5), 0.9)
        left, right = _blinks(_stream(seed, "blinks"), seconds)
        smile = wander("smile", 0.55, (1.2, 3.0), 0.4)
        # A speaker nods with the stress and leans into a turn. The head's position follows mostly from its rotation:
        # the model's motion code does not represent any other movement, so it could not be learned.
        yaw = wander("yaw", 32, (0.6, 1.6)) + wander("sway", 3, (0.3, 0.6))
        pitch = wander("pitch", 13, (0.5, 1.4)) + 3 * opening
        roll = wander("roll", 10, (0.7, 1.8)) + 0.12 * yaw
        columns = {
            "yaw": yaw,
            "pitch": pitch,
            "roll": roll,
            "x": wander("x", 0.06, (1.0, 2.5)) + 0.005 * yaw + 0.006 * roll,
            "y": wander("y", 0.04, (1.0, 2.5)) + 0.006 * pitch,
            "scale": wander("scale", 0.03, (1.5, 3.5), 1.0),
            "left": lids * left.at(t),
            "right": lids * right.at(t),
            "gaze_x": wander("gaze_x", 0.9, (0.35, 1.6)),
            "gaze_y": wander("gaze_y", 0.6, (0.35, 1.6)),
            "brows": wander("brows", 0.8, (0.6, 1.8)) + 0.25 * opening,
            "mouth": opening,
            "width": speech.rounding.at(t) * np.minimum(opening * 3, 1) * 0.9,
            "smile": smile,
        }
        rows = np.stack(list(columns.values()), axis=1).tolist()
        return cls(tuple(Moment(**dict(zip(columns, row, strict=True))) for row in rows), rate, speech)

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.moments) / float(self.rate)


def _stream(seed: int, name: str) -> np.random.Generator:
    """Return a generator for one factor, so that factors do not depend on each other or on the number of frames."""
    return np.random.default_rng((seed, *name.encode()))


def _wander(rng: np.random.Generator, seconds: float, gap: tuple[float, float]) -> Knots:
    """Return random knots in -1..1, most of them near 0, `gap` seconds apart."""
    times, values = [-gap[1] * rng.random()], [_target(rng)]
    while times[-1] < seconds:
        times += [times[-1] + rng.uniform(*gap)]
        values += [_target(rng)]
    return Knots(np.array(times), np.array(values))


def _target(rng: np.random.Generator) -> float:
    return float(np.tanh(0.75 * rng.standard_normal()))


def _blinks(rng: np.random.Generator, seconds: float) -> tuple[Knots, Knots]:
    """Return the openness of the two eyes during blinks, 0..1; one blink in eight is a wink."""
    times = [-1.0]
    eyes: tuple[list[float], list[float]] = ([1.0], [1.0])
    t = float(rng.uniform(0.3, 2.0))
    while times[-1] < seconds:
        wink = rng.random() < 0.125
        who = int(rng.integers(2))
        length = float(rng.uniform(0.2, 0.3)) * (2.2 if wink else 1.0)
        times += [t, t + 0.3 * length, t + 0.55 * length, t + length]
        for side, values in enumerate(eyes):
            low = 1.0 if wink and side != who else 0.0
            values += [1.0, low, low, 1.0]
        t += length + float(rng.uniform(0.9, 3.6))
    return Knots(np.array(times), np.array(eyes[0])), Knots(np.array(times), np.array(eyes[1]))


def _speech(rng: np.random.Generator, seconds: float) -> Speech:
    """Phrases of syllables, four to six per second, with pauses between them."""
    times, opening, rounding, melody = [-0.1], [0.0], [0.0], [1.0]

    def knot(time: float, how_open: float, vowel: float, pitch: float) -> None:
        times.append(time)
        opening.append(how_open)
        rounding.append(vowel)
        melody.append(pitch)

    t = float(rng.uniform(0.05, 0.25))
    uniform: Callable[[float, float], float] = rng.uniform
    while t < seconds or len(times) == 1:
        syllables = int(rng.integers(4, 12))
        lift = uniform(1.05, 1.25)
        knot(t, 0.0, 0.0, lift)
        for k in range(syllables):
            length = uniform(0.15, 0.27) * (1.35 if k == syllables - 1 else 1.0)
            stress = uniform(0.3, 1.0)
            vowel = uniform(-1, 1)
            pitch = lift * (1 - 0.28 * k / syllables) * (1 + 0.12 * (stress - 0.6))
            knot(t + 0.42 * length, stress * (1 - 0.35 * abs(vowel)), vowel, pitch)
            closing = k == syllables - 1 or rng.random() < 0.45
            t += length
            knot(t, 0.0 if closing else uniform(0.05, 0.25) * stress, vowel / 2, pitch * 0.98)
        t += uniform(0.25, 0.8)
    stamps = np.array(times)
    return Speech(Knots(stamps, np.array(opening)), Knots(stamps, np.array(rounding)), Knots(stamps, np.array(melody)))
