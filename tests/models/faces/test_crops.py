from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from models.faces.crops import clip_crops, crop_face, crop_head, face_box, head_box
from tests.models.faces.fakes import blank, face
from troupe.errors import InputError, NoFace
from troupe.faces import Picture, Track

sides = st.integers(8, 3000)


@st.composite
def pictures_with_faces(draw: st.DrawFn) -> tuple[np.ndarray, int, int]:
    """Draw a face box with at least two pixels inside the picture, and the picture's width and height."""
    width, height = draw(sides), draw(sides)
    x1 = draw(st.floats(-width, width - 2))
    y1 = draw(st.floats(-height, height - 2))
    x2 = draw(st.floats(max(x1, 0) + 2, 2.0 * width + 2))
    y2 = draw(st.floats(max(y1, 0) + 2, 2.0 * height + 2))
    box = np.array([x1, y1, x2, y2], dtype=np.float32)
    left, top, right, bottom = (float(v) for v in box)  # float32 would round 1.9999999 up
    assume(min(right, width) - max(left, 0) >= 2 and min(bottom, height) - max(top, 0) >= 2)
    return box, width, height


@given(pictures_with_faces(), st.sampled_from([0.0, 0.5, 1.0, 3.0]))
def test_a_head_box_is_square_inside_and_not_empty(case: tuple[np.ndarray, int, int], ratio: float) -> None:
    box, width, height = case
    x1, y1, x2, y2 = head_box(box, width, height, ratio)
    assert 0 <= x1 < x2 <= width
    assert 0 <= y1 < y2 <= height
    assert abs((x2 - x1) - (y2 - y1)) <= 1
    assert all(type(v) is int for v in (x1, y1, x2, y2))


def test_a_head_box_in_the_middle_is_three_faces_wide() -> None:
    assert head_box(np.array([400, 400, 500, 500], dtype=np.float32), 1000, 1000) == (300, 300, 600, 600)


def test_a_head_box_moves_towards_the_face_and_no_farther_than_the_edge() -> None:
    # Grown to 0..300 by 0..120: 180 to spare in x, and a face centre far right of the middle.
    assert head_box(np.array([100, 20, 200, 120], dtype=np.float32), 1000, 120) == (90, 0, 210, 120)
    assert head_box(np.array([0, 20, 100, 120], dtype=np.float32), 1000, 120) == (0, 0, 120, 120)


@pytest.mark.parametrize(
    "box", [(-300, 10, -200, 50), (10, 10, 10, 50), (50, 10, 20, 50), (float("nan"), 10, 20, 50), (500, 500, 501, 501)]
)
def test_a_head_box_without_area_is_refused(box: tuple[float, ...]) -> None:
    with pytest.raises(NoFace, match="check the track"):
        head_box(np.array(box, dtype=np.float32), 100, 100)


coordinates = st.floats(-2000, 2000, width=32)


@given(st.lists(st.tuples(coordinates, coordinates), min_size=5, max_size=5), coordinates, coordinates)
def test_a_face_box_is_an_even_square(points: list[tuple[float, float]], x: float, y: float) -> None:
    keypoints = np.array(points, dtype=np.float32)
    x1, y1, x2, y2 = face_box(keypoints, np.array([x, y, x + 80, y + 90], dtype=np.float32))
    assert x2 - x1 == y2 - y1 >= 2
    assert (x2 - x1) % 2 == 0
    assert all(type(v) is int for v in (x1, y1, x2, y2))


def test_a_face_box_is_between_the_keypoints_and_the_first_box() -> None:
    keypoints = np.array([[40, 40], [60, 40], [50, 50], [42, 60], [58, 60]], dtype=np.float32)
    # Each side 45% of the way from 40..60 to 0..120: 22..87, 65 wide, made 64 about 54.
    assert face_box(keypoints, np.array([0, 0, 120, 120], dtype=np.float32)) == (22, 22, 86, 86)


def test_a_face_box_of_the_first_frame_may_be_outside() -> None:
    x1, y1, _, _ = face_box(face(-20, -20, 60, 60).keypoints, face(-20, -20, 60, 60).box)
    assert x1 < 0
    assert y1 < 0


def test_a_face_box_that_is_not_finite_is_refused() -> None:
    keypoints = np.full((5, 2), np.nan, dtype=np.float32)
    with pytest.raises(NoFace, match="not finite"):
        face_box(keypoints, np.zeros(4, dtype=np.float32))


def test_pixels_outside_of_the_picture_are_black() -> None:
    picture = np.full((40, 40, 3), 200, dtype=np.uint8)
    crop = crop_face(picture, (-20, -20, 20, 20), 40)
    assert (crop[:20] == 0).all()
    assert (crop[:, :20] == 0).all()
    assert (crop[20:, 20:] == 200).all()


@pytest.mark.parametrize("cut", [crop_head, crop_face])
def test_a_crop_without_scaling_is_a_copy(cut: object) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    crop = cut(picture, (10, 5, 42, 37), 32)  # type: ignore[operator]
    assert crop.dtype == np.uint8
    np.testing.assert_array_equal(crop, picture[5:37, 10:42])


def test_a_huge_box_is_refused_before_memory_is_allocated() -> None:
    with pytest.raises(InputError, match="far larger"):
        crop_face(blank(64, 64), (-10_000_000, -10_000_000, 10_000_000, 10_000_000), 256)


def track_of(count: int) -> Track:
    faces = [face(20 + i, 20, 60 + i, 64) for i in range(count)]
    return Track(
        np.stack([f.box for f in faces]), np.stack([f.keypoints for f in faces]), np.ones(count, dtype=np.float32)
    )


def noisy(count: int) -> Iterator[Picture]:
    random = np.random.default_rng(1)
    for _ in range(count):
        yield random.integers(0, 256, (90, 100, 3), dtype=np.uint8)


def test_the_crops_of_a_clip() -> None:
    track = track_of(3)
    crops = list(clip_crops(noisy(3), track, 64, 32))
    assert len(crops) == 3
    head = head_box(track.boxes[0], 100, 90)
    for index, (crop, frame) in enumerate(zip(crops, noisy(3), strict=True)):
        big = crop_head(frame, head, 64)
        np.testing.assert_array_equal(
            crop.head, np.asarray(Image.fromarray(big).resize((32, 32), Image.Resampling.BILINEAR))
        )
        box = face_box(track.keypoints[index], track.boxes[0])
        np.testing.assert_array_equal(crop.face, crop_face(frame, box, 32))


def test_crops_stream() -> None:
    taken = 0

    def counted() -> Iterator[Picture]:
        nonlocal taken
        for frame in noisy(5):
            taken += 1
            yield frame

    crops = clip_crops(counted(), track_of(5), 64, 32)
    assert taken == 0
    for expected in range(1, 6):
        next(crops)
        assert taken == expected


@pytest.mark.parametrize(("frames", "message"), [(2, "ends after 2"), (4, "continues after 3")])
def test_a_track_of_another_length_is_refused(frames: int, message: str) -> None:
    with pytest.raises(InputError, match=f"{message} frames, its track has 3"):
        list(clip_crops(noisy(frames), track_of(3), 64, 32))
