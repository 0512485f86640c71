"""tasks.quality.thresholds."""

from __future__ import annotations

import pytest

from tasks.quality.thresholds import Thresholds
from troupe.errors import SettingsError

GOOD = {"identity": 0.8, "landmarks": 0.1, "expression": 0.2, "pose": 3.0, "flicker": 1.0}
NOBODY = {**dict.fromkeys(GOOD), "flicker": 9.0}


def test_what_is_missed() -> None:
    assert Thresholds().missed(NOBODY) == ""
    bounds = Thresholds(0.5, {"flicker": 3.0, "pose": 5.0})
    assert bounds.missed(GOOD) == ""
    assert bounds.missed(None) == ""  # a render of a version that did not measure
    assert bounds.missed({**GOOD, "identity": 0.312}) == "identity 0.31 is below the minimum of 0.5"
    assert bounds.missed({**GOOD, "identity": 0.5, "flicker": 3.0}) == ""
    assert (
        bounds.missed({**GOOD, "pose": 7.0, "flicker": 4.0})
        == "flicker 4 is above the maximum of 3; pose 7 is above the maximum of 5"
    )
    assert bounds.missed(NOBODY) == "no face was found in the video; flicker 9 is above the maximum of 3"
    assert Thresholds(maximum={"flicker": 10.0}).missed(NOBODY) == ""


def test_bounds_that_mean_nothing() -> None:
    with pytest.raises(SettingsError, match="unknown measure 'identity'"):
        Thresholds(maximum={"identity": 1.0})
    with pytest.raises(SettingsError, match="--min-identity"):
        Thresholds(fail=True)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("idntity", "use --min-identity, because more of it is better"),
        ("fliker", "did you mean 'flicker'?"),
        ("x", "use one of landmarks, expression, pose, flicker, sync_offset_frames, sync_lse_d"),
    ],
)
def test_a_mistyped_measure(name: str, instead: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Thresholds(maximum={name: 0.5})
    assert str(refused.value) == f"unknown measure {name!r} for --max; {instead}"


def test_offsets_count_either_way() -> None:
    bounds = Thresholds(maximum={"sync_offset_frames": 2, "sync_lse_d": 9})
    assert bounds.missed({"sync_offset_frames": -2, "sync_lse_d": 8}) == ""
    assert bounds.missed({"sync_offset_frames": None}) == ""  # no sound, or not measured: the row's notes say why
    film = {"quality": GOOD, "sync_offset_frames": -5, "sync_confidence": 0.7, "sync_lse_d": 9.5}
    missed = "sync_offset_frames -5 is beyond the maximum of 2 either way; sync_lse_d 9.5 is above the maximum of 9"
    assert bounds.missed_by(film) == missed
    unsure = {"sync_offset_frames": -5, "sync_confidence": 0.42}
    assert bounds.missed(unsure) == (
        "sync_offset_frames -5 is beyond the maximum of 2 either way (not clear, confidence 0.42)"
    )
    with pytest.raises(SettingsError, match="unknown measure 'sync_confidence'"):
        Thresholds(maximum={"sync_confidence": 1})
