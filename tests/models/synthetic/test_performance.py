"""Performances are endless, independent of the frame rate, and lively."""

from __future__ import annotations

from dataclasses import astuple, fields
from fractions import Fraction

import numpy as np
import pytest

from models.miniature import Moment, Performance

NTSC = Fraction(30000, 1001)


def table(performance: Performance) -> np.ndarray:
    """Return the moments as an array (frames, factors)."""
    return np.array([astuple(moment) for moment in performance.moments])


@pytest.mark.parametrize("seed", [0, 5, 2**40])
def test_more_frames_continue_a_performance(seed: int) -> None:
    short, long = (table(Performance.from_seed(seed, frames, NTSC)) for frames in (37, 300))
    assert np.array_equal(short, long[:37])


def test_another_rate_samples_the_same_performance() -> None:
    slow, fast = (table(Performance.from_seed(5, frames, rate)) for frames, rate in ((50, 25), (100, 50)))
    assert np.allclose(slow, fast[::2])


def test_seeds_differ() -> None:
    assert not np.allclose(table(Performance.from_seed(5, 50, 25)), table(Performance.from_seed(6, 50, 25)))


@pytest.mark.parametrize("seed", range(8))
def test_everything_moves_within_bounds(seed: int) -> None:
    performance = Performance.from_seed(seed, 500, 25)
    assert performance.seconds == 20
    values = dict(zip((f.name for f in fields(Moment)), table(performance).T, strict=True))
    bounds = {"yaw": 42, "pitch": 18, "roll": 17, "x": 0.45, "y": 0.2, "gaze_x": 1, "gaze_y": 1, "width": 1}
    for name, most in bounds.items():
        assert np.abs(values[name]).max() <= most, name
    for name in ("left", "right", "mouth"):
        assert values[name].min() >= 0, name
        assert values[name].max() <= 1, name
    assert 0.85 < values["scale"].min() < values["scale"].max() < 1.15
    for name, series in values.items():
        assert series.std() > 0, name
    assert values["left"].min() < 0.1, "nobody keeps an eye open for 20 s"
    assert values["mouth"].max() > 0.5
    assert (values["mouth"] < 0.02).mean() > 0.05, "nobody speaks for 20 s without closing the mouth"
    # Heads do not jump: at most 12 degrees between consecutive frames.
    assert np.abs(np.diff(values["yaw"])).max() < 12


def test_one_frame() -> None:
    assert len(Performance.from_seed(1, 1, NTSC).moments) == 1


def test_position_of_the_head_follows_mostly_from_its_rotation() -> None:
    """The motion code does not represent the rest, which is small."""
    values = table(Performance.from_seed(3, 3000, 10))
    yaw, pitch, roll, x, y = values[:, :5].T
    turned = np.stack([yaw, pitch, roll, np.ones_like(yaw)], axis=1)
    for place in (x, y):
        rest = place - turned @ np.linalg.lstsq(turned, place, rcond=None)[0]
        assert rest.std() < 0.6 * place.std()
        assert rest.std() < 0.05
