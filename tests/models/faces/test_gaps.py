from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.faces.gaps import MAX_BRIDGED, fill_gaps, reject_gaps, split_shots
from troupe.errors import NoFace
from troupe.faces import Track


def track(scores: list[float], cuts: tuple[int, ...] = ()) -> Track:
    count = len(scores)
    boxes = np.tile(np.array([0, 0, 10, 10], dtype=np.float32), (count, 1))
    return Track(boxes, np.zeros((count, 5, 2), dtype=np.float32), np.array(scores, dtype=np.float32), cuts)


def filled(pattern: str, cuts: tuple[int, ...] = ()) -> list[float]:
    """Return the interpolated values of frames whose seen ones (`x`) count up."""
    seen = np.array([letter == "x" for letter in pattern])
    values = np.where(seen, np.arange(len(seen)), -99.0)[:, None]
    return [round(float(value), 6) for value in fill_gaps(values, seen, cuts)[:, 0]]


def test_a_short_gap_is_interpolated_linearly() -> None:
    assert filled("xx..x") == [0, 1, 2, 3, 4]
    assert filled("x" + "." * MAX_BRIDGED + "x") == list(range(MAX_BRIDGED + 2))


def test_a_long_gap_is_held() -> None:
    assert filled("xx" + "." * (MAX_BRIDGED + 1) + "x") == [
        0,
        1,
        *[1] * (MAX_BRIDGED + 1),
        MAX_BRIDGED + 3,
    ]


def test_start_and_end_are_held() -> None:
    assert filled("..x..") == [2] * 5


def test_gaps_are_not_interpolated_across_cuts() -> None:
    assert filled("xx..xx", cuts=(3,)) == [0, 1, 1, 1, 4, 5]
    assert filled("xx..xx", cuts=(4,)) == [0, 1, 1, 1, 4, 5]


@given(st.text("x.", min_size=1, max_size=60).filter(lambda text: "x" in text), st.sets(st.integers(1, 59)))
def test_seen_frames_are_kept_and_others_are_in_between(pattern: str, cuts: set[int]) -> None:
    rising = tuple(sorted(cut for cut in cuts if cut < len(pattern)))
    values = filled(pattern, rising)
    assert all(value == index for index, value in enumerate(values) if pattern[index] == "x")
    assert values == sorted(values)


def test_one_shot_unless_cut() -> None:
    long = track([1, 1, *[0] * (MAX_BRIDGED + 1), 1, 1], cuts=(1,))
    assert split_shots(long, "hold") == split_shots(long, "fail") == ((0, len(long)),)


def test_shots_start_at_cuts_and_after_long_gaps() -> None:
    gap = [0.0] * (MAX_BRIDGED + 1)
    assert split_shots(track([1, 1, *gap, 1, 1]), "cut") == (
        (0, MAX_BRIDGED + 3),
        (MAX_BRIDGED + 3, MAX_BRIDGED + 5),
    )
    assert split_shots(track([1, 1, 0, 1, 1]), "cut") == ((0, 5),)
    assert split_shots(track([1] * 6, cuts=(2, 4)), "cut") == ((0, 2), (2, 4), (4, 6))
    assert split_shots(track([*gap, 1, 1]), "cut") == ((0, MAX_BRIDGED + 3),)
    assert split_shots(track([1, 1, *gap]), "cut") == ((0, MAX_BRIDGED + 3),)


def test_a_scene_without_the_face_has_no_shot() -> None:
    assert split_shots(track([1, 1, 0, 0, 1, 1], cuts=(2, 4)), "cut") == ((0, 4), (4, 6))
    assert split_shots(track([0, 0, 1, 1], cuts=(2,)), "cut") == ((0, 4),)


@given(st.lists(st.sampled_from([0.0, 0.9]), min_size=1, max_size=80), st.sets(st.integers(1, 79)))
def test_shots_cover_the_track_and_each_shows_the_face(scores: list[float], cuts: set[int]) -> None:
    found = split_shots(track(scores, tuple(sorted(cut for cut in cuts if cut < len(scores)))), "cut")
    assert [frame for first, stop in found for frame in range(first, stop)] == list(range(len(scores)))
    assert len(found) == 1 or all(any(scores[first:stop]) for first, stop in found)


def test_the_fail_policy_lists_all_gaps_and_cuts() -> None:
    reject_gaps(track([0, 1, 0, 1]), "clip.mp4")
    with pytest.raises(NoFace, match=r"clip\.mp4: the face is not seen in frames 1 to 16; another scene .* frame 18;"):
        reject_gaps(track([1, *[0] * (MAX_BRIDGED + 1), 1, 1], cuts=(18,)), "clip.mp4")


def test_parts_and_scores_of_tracks() -> None:
    whole = track([0.5, 0, 1.0, 0.6], cuts=(1, 3))
    assert whole.score == pytest.approx(0.7)
    assert track([0, 0]).score == 0
    assert (len(whole.part(1, 4)), whole.part(1, 4).cuts, whole.part(3, 4).cuts) == (3, (2,), ())


@pytest.mark.parametrize("cuts", [(0,), (4,), (2, 1), (1, 1), (-1,)])
def test_invalid_cuts_are_refused(cuts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="cuts"):
        track([1, 1, 1, 1], cuts)
