"""Times of subtitles: cut to a video, made to not overlap, and moved to frames."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.media import Timing
from tasks.media.subtitles import Cue, Subtitles, at_frames, cut_subtitles
from tasks.media.subtitles.cues import separated

CUES = (Cue(500, 1500, "a"), Cue(1000, 3000, "b", "line:0"), Cue(5000, 6000, "c"))


@pytest.mark.parametrize(
    ("start", "seconds", "expected", "notes"),
    [
        (0.0, 10.0, CUES, []),
        (
            1.0,
            1.5,
            (Cue(0, 500, "a"), Cue(0, 1500, "b", "line:0")),
            [
                "subtitles: 1 of 3 are outside the video and were left out",
                "subtitles: 2 of 3 were cut at the start or the end of the video",
            ],
        ),
        (-1.0, 3.0, (Cue(1500, 2500, "a"), Cue(2000, 3000, "b", "line:0")), None),
        (6.0, 4.0, (), ["subtitles: 3 of 3 are outside the video and were left out"]),
    ],
)
def test_cut_to_a_video(start: float, seconds: float, expected: tuple[Cue, ...], notes: list[str] | None) -> None:
    cut, found = cut_subtitles(Subtitles(CUES), start, seconds)
    assert cut.cues == expected
    assert notes is None or found == notes


def test_times_within_texts_are_shifted() -> None:
    subtitles = Subtitles((Cue(1000, 3000, "<00:01.500>one <01:00:02.000>two"),))
    assert cut_subtitles(subtitles, 1.75, 5.0)[0].cues[0].text == "<00:00:00.000>one <01:00:00.250>two"


def test_overlapping_cues_are_separated() -> None:
    assert separated(Subtitles(CUES)).cues == (
        Cue(500, 1000, "a"),
        Cue(1000, 1500, "a\nb"),
        Cue(1500, 3000, "b", "line:0"),
        Cue(5000, 6000, "c"),
    )


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 30), st.sampled_from("abc")), max_size=8))
def test_separated_cues_show_the_same_at_any_time(cues: list[tuple[int, int, str]]) -> None:
    subtitles = Subtitles(()).with_cues(Cue(start, start + length, text) for start, length, text in cues)
    split = separated(subtitles)
    for time in range(90):
        shown, together = ([cue for cue in some.cues if cue.start <= time < cue.end] for some in (subtitles, split))
        assert [cue.text for cue in together] == (["\n".join(cue.text for cue in shown)] if shown else [])


def test_times_of_unevenly_spaced_frames() -> None:
    timing = Timing(np.array([0.0, 0.1, 0.4, 0.5]), Fraction(4), 1.0, even=False)
    # The cue covers the frames at 0.4 and 0.5 s, which are encoded as the third and fourth at 4 a second.
    found = at_frames(Subtitles((Cue(300, 900, "a"), Cue(110, 390, "b"))), timing.rate, timing)
    assert found.cues == (Cue(375, 875, "a"),)


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30), Fraction(30000, 1001), Fraction(24000, 1001)])
def test_times_of_frames_are_exact_however_they_are_rounded(rate: Fraction) -> None:
    for frame in range(1, 5000, 7):
        exact = 1000 * frame / rate
        for time in {math.floor(exact), math.ceil(exact)}:
            (cue,) = at_frames(Subtitles((Cue(time, time + 1000, "a"),)), rate).cues
            assert 1000 * (frame - 1) / rate < cue.start < exact
