"""Decisions of every policy, for any lengths of picture and sound."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.media.fit import STRICT_SECONDS, Fit, decide_fit
from troupe.errors import SettingsError
from troupe.job import FITS

RATE = Fraction(25)
rates = st.sampled_from([Fraction(24000, 1001), RATE, Fraction(30000, 1001), Fraction(1000, 49), Fraction(1)])
sounds = st.builds(Fraction, st.integers(0, 48000 * 90), st.sampled_from([8000, 22050, 44100, 48000]))
limits = st.sampled_from([0, 0.1, 0.15, Fraction(1, 3), 0.99])


@given(st.sampled_from(FITS), st.integers(1, 2000), rates, sounds, limits)
def test_sound_and_picture_end_together(
    policy: str, frames: int, rate: Fraction, sound: Fraction, limit: float | Fraction
) -> None:
    fit = decide_fit(policy, frames, rate, sound, stretch_limit=limit)
    length = frames / rate
    if fit.problem:
        assert policy in ("strict", "stretch")
        assert f"{float(sound):.3f} s" in fit.problem
        assert f"{float(length):.3f} s" in fit.problem
        return
    assert sound - fit.cut_seconds + fit.silence_seconds == fit.frames / rate
    assert fit.cut_seconds == 0 or fit.silence_seconds == 0
    assert fit.cut_seconds == 0 or policy == "cut" or (policy == "strict" and fit.cut_seconds <= STRICT_SECONDS)
    assert fit.motion_frames >= 1
    assert fit.extended_frames >= 0
    assert bool(fit.extension) == (fit.extended_frames > 0)
    assert fit.extension in {"": [""], "hold": ["hold", ""]}.get(policy, ["bounce", ""])
    if not policy.startswith("stretch"):
        assert fit.motion_frames == frames
    if fit.extension:
        assert fit.silence_seconds < 1 / rate


@given(st.sampled_from(["stretch", "stretch+bounce"]), st.integers(1, 2000), rates, sounds, limits)
def test_motion_is_stretched_up_to_the_limit(
    policy: str, frames: int, rate: Fraction, sound: Fraction, limit: float | Fraction
) -> None:
    fit = decide_fit(policy, frames, rate, sound, stretch_limit=limit)
    share = Fraction(limit).limit_denominator(10**6)
    length = frames / rate
    within = abs(sound - length) <= share * length
    assert bool(fit.problem) == (policy == "stretch" and not within)
    if within:
        assert fit.frames == fit.motion_frames
        assert fit.silence_seconds < 1 / rate
    else:
        assert abs(fit.motion_frames - frames) <= share * frames


@given(st.sampled_from(FITS), st.integers(1, 2000), rates)
def test_equal_lengths_change_nothing(policy: str, frames: int, rate: Fraction) -> None:
    assert decide_fit(policy, frames, rate, frames / rate) == Fit(frames, frames)


@pytest.mark.parametrize(
    ("policy", "seconds", "expected"),
    [
        ("strict", "4.25", Fit(100, 100, cut_seconds=Fraction(1, 4))),
        ("strict", "2", Fit(100, 100, silence_seconds=Fraction(2))),
        ("cut", "8", Fit(100, 100, cut_seconds=Fraction(4))),
        ("cut", "2", Fit(100, 100, silence_seconds=Fraction(2))),
        ("hold", "8", Fit(200, 100, "hold")),
        ("hold", "4.01", Fit(101, 100, "hold", silence_seconds=Fraction(3, 100))),
        ("hold", "2", Fit(100, 100, silence_seconds=Fraction(2))),
        ("bounce", "8", Fit(200, 100, "bounce")),
        ("stretch", "4.4", Fit(110, 110)),
        ("stretch", "4.6", Fit(115, 115)),
        ("stretch", "3.4", Fit(85, 85)),
        ("stretch", "3.99", Fit(100, 100, silence_seconds=Fraction(1, 100))),
        ("stretch+bounce", "8", Fit(200, 115, "bounce")),
        ("stretch+bounce", "4.4", Fit(110, 110)),
        ("stretch+bounce", "2", Fit(85, 85, silence_seconds=Fraction(7, 5))),
    ],
)
def test_a_picture_of_four_seconds(policy: str, seconds: str, expected: Fit) -> None:
    assert decide_fit(policy, 100, RATE, Fraction(seconds)) == expected


def test_the_sample_after_the_limit_is_too_much() -> None:
    sample = Fraction(1, 48000)
    assert not decide_fit("strict", 100, RATE, 4 + STRICT_SECONDS).problem
    assert decide_fit("strict", 100, RATE, 4 + STRICT_SECONDS + sample).problem
    assert not decide_fit("stretch", 100, RATE, Fraction("4.6"), stretch_limit=0.15).problem
    assert decide_fit("stretch", 100, RATE, Fraction("4.6") + sample, stretch_limit=0.15).problem
    assert decide_fit("stretch", 100, RATE, Fraction("3.4") - sample, stretch_limit=0.15).problem


def test_problems_name_lengths_and_choices() -> None:
    too_long = decide_fit("strict", 100, RATE, Fraction("4.5")).problem
    assert too_long == (
        "the sound lasts 4.500 s and the picture 4.000 s: the sound is 0.500 s longer, and fit strict cuts at most "
        "0.25 s; use fit cut to leave out the end of the sound, hold or bounce to extend the picture, or stretch or "
        "stretch+bounce to slow its motion"
    )
    too_far = decide_fit("stretch", 100, RATE, Fraction(8)).problem
    assert too_far == (
        "the sound lasts 8.000 s and the picture 4.000 s: the sound is 4.000 s longer, and fit stretch would change "
        "the length of the motion by 100.0%, more than stretch_limit 15.0%; raise stretch_limit, or use fit "
        "stretch+bounce, hold or bounce to extend the picture, or cut to leave out the end of the sound"
    )
    too_short = decide_fit("stretch", 100, RATE, Fraction(2)).problem
    assert "the sound is 2.000 s shorter" in too_short
    assert "with which silence follows the sound" in too_short


def test_uneven_pictures_have_a_length_of_their_own() -> None:
    fit = decide_fit("hold", 10, Fraction(15), Fraction(2), picture=Fraction("0.6"))
    assert fit == Fit(31, 10, "hold")
    assert decide_fit("cut", 10, Fraction(15), Fraction(2), picture=Fraction("0.6")).cut_seconds == Fraction("1.4")


def test_invalid_settings_are_refused() -> None:
    with pytest.raises(SettingsError, match="fit is 'loop'; use strict, cut, hold, bounce, stretch, stretch\\+bounce"):
        decide_fit("loop", 1, RATE, Fraction(1))
    for limit in (-0.1, 1, 3, float("nan")):
        with pytest.raises(SettingsError, match=r"stretch_limit is .*; use a share"):
            decide_fit("stretch", 1, RATE, Fraction(1), stretch_limit=limit)
    with pytest.raises(ValueError, match="0 frames"):
        decide_fit("cut", 0, RATE, Fraction(1))
