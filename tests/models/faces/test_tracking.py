from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.faces.tracking import track_face
from tests.models.faces.fakes import ListedFaces, face
from troupe.errors import InputError, NoFace
from troupe.faces import LARGEST, Face, FaceChoice, Picture, Track


def lit(width: int, height: int) -> Picture:
    """Return a picture that is not uniform, so that it is searched."""
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    picture[:, : width // 2] = 60
    return picture


def followed(answers: Sequence[Sequence[Face]], choice: FaceChoice = LARGEST) -> Track:
    return track_face((lit(8, 8) for _ in answers), ListedFaces(answers), choice, "clip.mp4")


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


def test_the_chosen_face_is_kept_among_others() -> None:
    left = [face(0 + i, 0, 20 + i, 20) for i in range(4)]
    right = [face(100 - i, 0, 140 - i, 40) for i in range(4)]  # larger, and first in the lists
    answers = [[r, x] for r, x in zip(right, left, strict=True)]
    np.testing.assert_array_equal(followed(answers).boxes[:, 2], [140, 139, 138, 137])
    np.testing.assert_array_equal(followed(answers, FaceChoice("index:0")).boxes[:, 2], [20, 21, 22, 23])
    np.testing.assert_array_equal(followed(answers, FaceChoice("10,10")).boxes[:, 2], [20, 21, 22, 23])


def test_overlap_takes_precedence_over_distance() -> None:
    # The small face's centre is nearer, but the large one overlaps.
    answers = [[face(0, 0, 100, 100)], [face(45, 45, 55, 55), face(10, 10, 110, 110)]]
    assert followed(answers).boxes[1].tolist() == [10, 10, 110, 110]


def test_a_quick_move_without_overlap_is_tracked() -> None:
    assert followed([[face(0, 0, 20, 20)], [face(-19, 0, 1, 20), face(15, 15, 35, 35)]]).gaps == ()
    assert followed([[face(0, 0, 20, 20)], [face(20, 0, 40, 20)]]).gaps == ()


def test_a_distant_face_does_not_replace_the_chosen_one() -> None:
    track = followed([[face(0, 0, 20, 20)], [face(200, 0, 220, 20)], [face(2, 0, 22, 20)]])
    assert track.gaps == ((1, 2),)
    assert track.boxes[1].tolist() == [1, 0, 21, 20]


def test_after_a_long_gap_the_face_may_be_elsewhere() -> None:
    track = followed([[face(0, 0, 20, 20)], *([[]] * 20), [face(50, 0, 70, 20)]])
    assert track.gaps == ((1, 21),)
    assert track.boxes[-1].tolist() == [50, 0, 70, 20]


@given(st.lists(st.booleans(), min_size=1, max_size=40).filter(any), st.integers(0, 3))
def test_every_frame_has_a_box_and_detected_ones_are_exact(seen: list[bool], speed: int) -> None:
    faces = [face(speed * i, 5, speed * i + 40, 45, 0.8) for i in range(len(seen))]
    track = followed([[f] if shown else [] for f, shown in zip(faces, seen, strict=True)])
    assert len(track) == len(seen)
    assert np.isfinite(track.boxes).all()
    assert np.isfinite(track.keypoints).all()
    assert (track.scores > 0).tolist() == seen
    places = [i for i, shown in enumerate(seen) if shown]
    expected = np.clip(np.arange(len(seen)), places[0], places[-1]) * speed  # linear motion: interpolation is exact
    np.testing.assert_allclose(track.boxes[:, 0], expected, atol=1e-4)


def test_the_first_frame_with_faces_must_show_the_chosen_face() -> None:
    with pytest.raises(NoFace, match=r"no face index:1 in clip\.mp4, frame 1: it shows 1 \(counted from 0\)"):
        followed([[], [face(0, 0, 9, 9)]], FaceChoice("index:1"))


def scene(colour: int) -> Picture:
    picture = np.full((32, 32, 3), (colour, 255 - colour, 40), dtype=np.uint8)
    picture[:, :16] = np.minimum(picture[:, :16], 200) + 20
    return picture


def by_width(_picture: Picture, found: Face) -> np.ndarray:
    """Return an embedding that depends on the width of the face, different for every person."""
    vector = np.zeros(200, dtype=np.float32)
    vector[int(found.box[2] - found.box[0])] = 1
    return vector


def seen_in(shown: Sequence[tuple[Picture, Sequence[Face]]], choice: str = "largest", reselect: bool = False) -> Track:
    detector = ListedFaces([faces for _, faces in shown])
    pictures = (picture.copy() for picture, _ in shown)
    return track_face(pictures, detector, FaceChoice(choice), "clip", recognise=by_width, reselect=reselect)


ANA, BOB = face(0, 0, 20, 20), face(2, 0, 24, 20)


def test_a_cut_is_recorded_and_the_person_is_found_elsewhere() -> None:
    moved = face(100, 0, 120, 20)
    track = seen_in([(scene(0), [ANA])] * 3 + [(scene(255), [BOB, moved])] * 3)
    assert track.cuts == (3,)
    assert track.gaps == ()
    assert track.boxes[3:, 0].tolist() == [100] * 3


def test_another_person_after_a_cut_is_tracked_only_with_reselect() -> None:
    shown = [(scene(0), [ANA])] * 3 + [(scene(255), [BOB])] * 3 + [(scene(0), [ANA])] * 2
    held = seen_in(shown)
    assert (held.cuts, held.gaps) == ((3, 6), ((3, 6),))
    assert held.boxes[3:6].tolist() == [ANA.box.tolist()] * 3
    reselect = seen_in(shown, reselect=True)
    assert (reselect.cuts, reselect.gaps) == ((3, 6), ())
    assert reselect.boxes[3:6].tolist() == [BOB.box.tolist()] * 3


def test_reselect_takes_the_largest_where_fewer_faces_are_shown() -> None:
    shown = [(scene(0), [ANA, face(40, 0, 70, 30)])] * 2 + [(scene(255), [BOB])] * 2
    assert seen_in(shown, "index:1", reselect=True).boxes[2].tolist() == BOB.box.tolist()


def test_a_person_who_returns_is_found() -> None:
    track = seen_in([(scene(0), [ANA])] * 2 + [(scene(255), [BOB])] * 4 + [(scene(255), [BOB, ANA])] * 8)
    assert track.cuts == (2,)
    assert track.gaps == ((2, 7),)
    assert track.boxes[8].tolist() == ANA.box.tolist()


def test_black_frames_are_a_gap_and_not_a_cut() -> None:
    track = seen_in([(scene(90), [ANA])] * 3 + [(lit(32, 32), [])] * 20 + [(scene(90), [ANA])] * 3)
    assert track.cuts == ()
    assert track.gaps == ((3, 23),)


def test_crossing_people_are_distinguished_by_their_faces() -> None:
    def at(x: int, width: int) -> Face:
        return face(x, 0, x + width, 20)

    shown = [(scene(90), [at(4 * i, 20), at(60 - 4 * i, 22)]) for i in range(16)]
    for choice, start, width in (("index:0", 0, 20), ("index:1", 60, 22)):
        track = seen_in(shown, choice)
        assert track.gaps == ()
        assert (track.boxes[:, 2] - track.boxes[:, 0]).tolist() == [width] * 16
        assert abs(track.boxes[-1, 0] - start) == 60


def test_after_a_long_gap_another_person_in_the_same_place_is_not_tracked() -> None:
    track = seen_in([(scene(90), [ANA])] * 2 + [(scene(90), [])] * 20 + [(scene(90), [BOB])] * 3)
    assert track.gaps == ((2, 25),)


def test_the_search_region_is_constant_while_the_face_hardly_moves() -> None:
    around: list[float] = []

    class Noting(ListedFaces):
        def detect_near(self, picture: Picture, box: np.ndarray) -> list[Face]:
            around.append(float(box[0]))
            return super().detect_near(picture, box)

    faces = [[face(i, 0, 40 + i, 40)] for i in range(14)]
    track_face((lit(8, 8) for _ in faces), Noting(faces), LARGEST, "clip")
    assert sorted(set(around)) == [0, 8]


def test_a_uniform_frame_is_not_searched() -> None:
    detector = ListedFaces([[ANA]] * 2)
    dark = np.full((8, 8, 3), 20, dtype=np.uint8)
    track = track_face(iter([lit(8, 8), dark, lit(8, 8)]), detector, LARGEST, "clip")
    assert len(detector.pictures) == 2
    assert track.gaps == ((1, 2),)


def test_a_clip_without_the_face_is_refused() -> None:
    with pytest.raises(NoFace, match=r"any of the 3 frames of clip\.mp4"):
        followed([[], [], []])


def test_a_clip_without_frames_is_refused() -> None:
    with pytest.raises(InputError, match=r"clip\.mp4 has no frames"):
        followed([])


def test_tracking_reads_frames_one_by_one() -> None:
    detector = ListedFaces([[face(0, 0, 9, 9)]] * 4)

    def frames() -> Iterator[Picture]:
        for index in range(4):
            assert len(detector.pictures) == index
            yield lit(8, 8)

    assert len(track_face(frames(), detector, LARGEST, "clip")) == 4
