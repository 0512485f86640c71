"""Rates and times read off time stamps."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.media.timing import STANDARD_RATES, nearest_standard_rate, timing_of_ticks

MILLISECOND = Fraction(1, 1000)


@given(
    rate=st.sampled_from([r for r in STANDARD_RATES if 5 <= r <= 120]),
    tick=st.sampled_from([MILLISECOND, Fraction(1, 90000), Fraction(1, 12800)]) | st.none(),
    count=st.integers(200, 2000),
    start=st.integers(-1000, 10**9),
    rounding=st.sampled_from([np.floor, np.round]),
)
def test_a_constant_rate_is_found_whatever_the_header_says(
    rate: Fraction, tick: Fraction | None, count: int, start: int, rounding: np.ufunc
) -> None:
    tick = tick or 1 / rate
    ticks = rounding(np.arange(count) * float(1 / (rate * tick)) + 1e-7).astype(np.int64) + start
    for hint in (None, rate, Fraction(90000)):
        read = timing_of_ticks(ticks, 0, tick, hint)
        assert read.even
        assert read.rate == rate
        assert read.seconds == pytest.approx(count / rate)
        np.testing.assert_allclose(read.times, np.arange(count) / float(rate))


@given(
    steps=st.lists(st.integers(1, 400), min_size=1, max_size=300),
    last=st.integers(0, 400),
    hint=st.none() | st.fractions(min_value=0, max_value=1000),
)
def test_any_times_keep_their_number_and_length(steps: list[int], last: int, hint: Fraction | None) -> None:
    ticks = np.cumsum([0, *steps], dtype=np.int64)
    read = timing_of_ticks(ticks, last, MILLISECOND, hint)
    assert len(read.times) == len(ticks)
    assert read.rate > 0
    assert (np.diff(read.times) > 0).all()
    assert np.abs(read.times - ticks / 1000).max() <= 0.0021
    # What the rate makes of the clip is as long as the clip.
    assert len(ticks) / read.rate == pytest.approx(read.seconds, abs=0.006)


@given(
    steps=st.lists(st.integers(1, 400), min_size=1, max_size=100),
    start=st.floats(-1, 50),
    end=st.none() | st.floats(-1, 50),
)
def test_between_selects_frames_that_start_in_it(steps: list[int], start: float, end: float | None) -> None:
    read = timing_of_ticks(np.cumsum([0, *steps], dtype=np.int64), 40, MILLISECOND, None)
    first, last = read.between(start, end)
    inside = (read.times >= start - 1e-6) & (read.times < (np.inf if end is None else end - 1e-6))
    assert list(range(first, last)) == list(np.flatnonzero(inside))


def test_parts_of_a_clip_join_without_gap_or_overlap() -> None:
    read = timing_of_ticks(
        np.round(np.arange(300) * 1001 / 30).astype(np.int64), 33, MILLISECOND, Fraction(30000, 1001)
    )
    cuts = [0.0, 0.1, 1.001, 2.5, 7.7, 100.0]
    parts = [read.between(a, b) for a, b in pairwise(cuts)]
    assert [first for first, _ in parts] == [0] + [last for _, last in parts[:-1]]
    assert parts[-1][1] == 300


@pytest.mark.parametrize("ticks", [[0], [5, 5, 5], [0, 2, 1], [0, 0]])
def test_without_usable_times_the_rate_of_the_header_is_used(ticks: list[int]) -> None:
    for hint, rate in (
        (None, 25),
        (Fraction(2997, 100), Fraction(30000, 1001)),
        (Fraction(90000), 25),
        (Fraction(0), 25),
    ):
        read = timing_of_ticks(np.array(ticks, np.int64), 0, MILLISECOND, hint)
        assert (len(read.times), read.rate, read.even) == (len(ticks), rate, True)


@pytest.mark.parametrize(
    ("rounded", "rate"),
    [
        ("23.976", Fraction(24000, 1001)),
        ("29.97", Fraction(30000, 1001)),
        ("59.94", Fraction(60000, 1001)),
        ("119.88", Fraction(120000, 1001)),
        ("24", Fraction(24)),
        ("25.001", Fraction(25)),
        ("30.00", Fraction(30)),
        ("12.5", Fraction(25, 2)),
        ("29.5", Fraction(59, 2)),
    ],
)
def test_rounded_rates(rounded: str, rate: Fraction) -> None:
    assert nearest_standard_rate(Fraction(rounded)) == rate
