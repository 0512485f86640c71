"""Policies for a sound that is longer or shorter than the picture: pure decisions on frames and seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from troupe.errors import SettingsError
from troupe.job import FITS

__all__ = ["STRETCH_LIMIT", "STRICT_SECONDS", "Fit", "decide_fit"]

STRICT_SECONDS = Fraction(1, 4)
"""Seconds that `strict` cuts from the end of a longer sound; a sound that is longer by more is refused."""
STRETCH_LIMIT = Fraction(15, 100)
"""Largest change of the motion's length by default, as a share of it."""


@dataclass(frozen=True)
class Fit:
    """How a picture and a sound of another length are made equally long.

    Attributes:
        frames: number of frames of the finished picture.
        motion_frames: number of frames that the motion is resampled to; that of the motion itself if it stays as it is.
        extension: how the frames after `motion_frames` are made: `hold`, `bounce`, or empty if there are none.
        cut_seconds: seconds left out at the end of the sound.
        silence_seconds: seconds of silence after the sound, until the end of the picture.
        problem: why they cannot be fitted, with both lengths and the choices; empty if they can.
    """

    frames: int
    motion_frames: int
    extension: str = ""
    cut_seconds: Fraction = Fraction(0)
    silence_seconds: Fraction = Fraction(0)
    problem: str = ""

    @property
    def extended_frames(self) -> int:
        """Number of frames after those of the motion."""
        return self.frames - self.motion_frames


def decide_fit(
    policy: str,
    frames: int,
    rate: Fraction,
    sound: Fraction,
    *,
    picture: Fraction | None = None,
    stretch_limit: Fraction | float = STRETCH_LIMIT,
) -> Fit:
    """Decide how a picture fits a sound.

    A sound loses its end only by `cut`, and by `strict` up to `STRICT_SECONDS`. A picture loses no motion: it is
    extended, or its motion is resampled. Where the picture becomes as long as the sound, its last frame is the first
    that ends at or after the sound's last sample, and silence fills up that frame.

    Args:
        policy: one of `FITS`.
        frames: number of frames of the picture, 1 or more.
        rate: frames per second, also of further frames.
        sound: length of the sound in seconds: its number of samples by its sample rate.
        picture: length of the picture in seconds, where it is not `frames` by `rate`: with frames at uneven times.
        stretch_limit: largest change of the motion's length, as a share of it, from 0 up to but not including 1.

    Raises:
        SettingsError: unknown policy, or an invalid limit.
        ValueError: a picture without frames, or a sound of negative length.
    """
    limit = _limit(stretch_limit)
    if policy not in FITS:
        raise SettingsError(f"fit is {policy!r}; use {', '.join(FITS)}")
    if frames < 1 or rate <= 0 or sound < 0:
        raise ValueError(f"cannot fit {frames} frames at {rate} frames/s to {sound} s of sound")
    length = frames / rate if picture is None else picture
    unchanged = _with_rest(Fit(frames, frames), length, sound)
    extra = math.ceil((sound - length) * rate)
    if sound == length:
        return unchanged
    if policy.startswith("stretch"):
        wanted = math.ceil(sound * rate)
        if abs(sound - length) <= limit * length:
            return _with_rest(Fit(wanted, wanted), wanted / rate, sound)
        if policy == "stretch":
            return replace(unchanged, problem=_too_far(length, sound, limit))
        reached = math.floor(length * (1 + limit) * rate) if sound > length else math.ceil(length * (1 - limit) * rate)
        total = max(reached, wanted)
        extension = "bounce" if total > reached else ""
        return _with_rest(Fit(total, reached, extension), total / rate, sound)
    if sound < length or policy == "cut":
        return unchanged
    if policy == "strict":
        too_long = sound - length > STRICT_SECONDS
        return replace(unchanged, problem=_too_long(length, sound)) if too_long else unchanged
    return _with_rest(Fit(frames + extra, frames, policy), length + extra / rate, sound)


def _limit(stretch_limit: Fraction | float) -> Fraction:
    """Return the limit as a fraction; 0.15 is meant as 15/100, not as the nearest binary number."""
    if not 0 <= stretch_limit < 1:
        raise SettingsError(
            f"stretch_limit is {float(stretch_limit):g}; use a share of the length from 0 to below 1, such as 0.15"
        )
    return Fraction(stretch_limit).limit_denominator(10**6)


def _with_rest(fit: Fit, length: Fraction, sound: Fraction) -> Fit:
    """Add what of the sound is left out, or is missing, beside a picture of `length` seconds."""
    zero = Fraction(0)
    return replace(fit, cut_seconds=max(sound - length, zero), silence_seconds=max(length - sound, zero))


def _lengths(length: Fraction, sound: Fraction) -> str:
    difference = "longer" if sound > length else "shorter"
    return (
        f"the sound lasts {float(sound):.3f} s and the picture {float(length):.3f} s: "
        f"the sound is {float(abs(sound - length)):.3f} s {difference}"
    )


def _too_long(length: Fraction, sound: Fraction) -> str:
    return (
        f"{_lengths(length, sound)}, and fit strict cuts at most {float(STRICT_SECONDS):g} s; use fit cut to leave out "
        f"the end of the sound, hold or bounce to extend the picture, or stretch or stretch+bounce to slow its motion"
    )


def _too_far(length: Fraction, sound: Fraction, limit: Fraction) -> str:
    change = float(abs(sound - length) / length)
    choices = (
        "stretch+bounce, hold or bounce to extend the picture, or cut to leave out the end of the sound"
        if sound > length
        else "stretch+bounce, or strict, cut, hold or bounce, with which silence follows the sound"
    )
    return (
        f"{_lengths(length, sound)}, and fit stretch would change the length of the motion by {change:.1%}, more than "
        f"stretch_limit {float(limit):.1%}; raise stretch_limit, or use fit {choices}"
    )
