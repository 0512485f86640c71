from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.faces.follow import follow
from tests.models.faces.fakes import ListedFaces, blank, face
from troupe.errors import InputError, NoFace
from troupe.faces import LARGEST, Face, FaceChoice, Picture, Track


def followed(answers: Sequence[Sequence[Face]], choice: FaceChoice = LARGEST) -> Track:
    return follow((blank(8, 8) for _ in answers), ListedFaces(answers), choice, "clip.mp4")


def test_seen_in_every_frame() -> None:
    faces = [face(10 + i, 20, 50 + i, 70, 0.6 + i / 100) for i in range(5)]
    track = followed([[f] for f in faces])
    np.testing.assert_array_equal(track.boxes, np.stack([f.box for f in faces]))
    np.testing.assert_array_equal(track.keypoints, np.stack([f.keypoints for f in faces]))
    np.testing.assert_allclose(track.scores, [f.score for f in faces])
    assert track.gaps == ()


def test_gaps_are_interpolated_and_ends_are_held() -> None:
    first, last = face(0, 0, 10, 10), face(6, 3, 16, 13)
    track = followed([[], [first], [], [], [last], []])
    assert track.gaps == ((0, 1), (2, 4), (5, 6))
    np.testing.assert_allclose(track.boxes[:, 0], [0, 0, 2, 4, 6, 6])
    np.testing.assert_allclose(track.boxes[:, 3], [10, 10, 11, 12, 13, 13])
    np.testing.assert_allclose(track.keypoints[2], first.keypoints + (last.keypoints - first.keypoints) / 3, atol=1e-5)
    np.testing.assert_array_equal(track.keypoints[0], first.keypoints)
    assert track.scores.tolist() == [0, pytest.approx(0.9), 0, 0, pytest.approx(0.9), 0]


def test_the_chosen_one_is_kept_among_others() -> None:
    left = [face(0 + i, 0, 20 + i, 20) for i in range(4)]
    right = [face(100 - i, 0, 140 - i, 40) for i in range(4)]  # larger, and first in the lists
    answers = [[r, x] for r, x in zip(right, left, strict=True)]
    np.testing.assert_array_equal(followed(answers).boxes[:, 2], [140, 139, 138, 137])
    np.testing.assert_array_equal(followed(answers, FaceChoice("index:0")).boxes[:, 2], [20, 21, 22, 23])
    np.testing.assert_array_equal(followed(answers, FaceChoice("10,10")).boxes[:, 2], [20, 21, 22, 23])


def test_overlap_counts_before_distance() -> None:
    # The small one's centre is the nearer, the large one is the same face.
    answers = [[face(0, 0, 100, 100)], [face(45, 45, 55, 55), face(10, 10, 110, 110)]]
    assert followed(answers).boxes[1].tolist() == [10, 10, 110, 110]


def test_a_quick_move_without_overlap_is_followed() -> None:
    assert followed([[face(0, 0, 20, 20)], [face(-19, 0, 1, 20), face(15, 15, 35, 35)]]).gaps == ()
    assert followed([[face(0, 0, 20, 20)], [face(20, 0, 40, 20)]]).gaps == ()


def test_somebody_else_far_off_does_not_take_over() -> None:
    track = followed([[face(0, 0, 20, 20)], [face(200, 0, 220, 20)], [face(2, 0, 22, 20)]])
    assert track.gaps == ((1, 2),)
    assert track.boxes[1].tolist() == [1, 0, 21, 20]


def test_after_a_long_gap_the_face_may_be_elsewhere() -> None:
    track = followed([[face(0, 0, 20, 20)], *([[]] * 20), [face(50, 0, 70, 20)]])
    assert track.gaps == ((1, 21),)
    assert track.boxes[-1].tolist() == [50, 0, 70, 20]


@given(st.lists(st.booleans(), min_size=1, max_size=40).filter(any), st.integers(0, 3))
def test_every_frame_has_a_place_and_seen_ones_are_exact(seen: list[bool], speed: int) -> None:
    faces = [face(speed * i, 5, speed * i + 40, 45, 0.8) for i in range(len(seen))]
    track = followed([[f] if there else [] for f, there in zip(faces, seen, strict=True)])
    assert len(track) == len(seen)
    assert np.isfinite(track.boxes).all()
    assert np.isfinite(track.keypoints).all()
    assert (track.scores > 0).tolist() == seen
    places = [i for i, there in enumerate(seen) if there]
    expected = np.clip(np.arange(len(seen)), places[0], places[-1]) * speed  # linear motion: interpolation is exact
    np.testing.assert_allclose(track.boxes[:, 0], expected, atol=1e-4)


def test_the_first_frame_with_faces_must_show_the_chosen_one() -> None:
    with pytest.raises(NoFace, match=r"clip\.mp4, frame 1 shows 1"):
        followed([[], [face(0, 0, 9, 9)]], FaceChoice("index:1"))


def test_never_seen() -> None:
    with pytest.raises(NoFace, match=r"any of the 3 frames of clip\.mp4"):
        followed([[], [], []])


def test_no_frames() -> None:
    with pytest.raises(InputError, match=r"clip\.mp4 has no frames"):
        followed([])


def test_one_pass_frame_by_frame() -> None:
    detector = ListedFaces([[face(0, 0, 9, 9)]] * 4)

    def frames() -> Iterator[Picture]:
        for index in range(4):
            assert len(detector.pictures) == index
            yield blank(8, 8)

    assert len(follow(frames(), detector, LARGEST, "clip")) == 4
