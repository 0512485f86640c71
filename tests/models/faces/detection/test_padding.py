from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.faces.detection.padding import detect_padded
from tests.models.faces.fakes import blank, face
from troupe.faces import Face, Picture


def white_square(picture: Picture) -> Face | None:
    ys, xs = np.nonzero(picture[..., 0])
    return face(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) if len(xs) else None


@given(st.integers(40, 90), st.integers(40, 90), st.integers(0, 30), st.sampled_from([0, 1, 2]))
def test_coordinates_do_not_include_the_padding(width: int, height: int, corner: int, misses: int) -> None:
    picture = blank(width, height)
    picture[corner : corner + 8, corner : corner + 9] = 255
    shapes: list[tuple[int, ...]] = []

    def detect(seen: Picture) -> list[Face]:
        shapes.append(seen.shape)
        found = white_square(seen)
        return [found] if found and len(shapes) > misses else []

    (found,) = detect_padded(detect, picture)
    expected = face(corner, corner, corner + 9, corner + 8)
    np.testing.assert_allclose(found.box, expected.box)
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=1e-4)
    assert found.score == expected.score
    borders = [0, height // 2, height][: misses + 1]
    assert shapes == [(height + 2 * b, width + 2 * b, 3) for b in borders]


def test_no_face_with_any_padding() -> None:
    assert detect_padded(lambda _: [], blank(30, 40)) == []


@pytest.mark.parametrize("shape", [(3000, 100), (1, 500)])
def test_a_stripe_has_no_face(shape: tuple[int, int]) -> None:
    assert detect_padded(lambda _: pytest.fail("looked"), blank(*shape)) == []


@pytest.mark.parametrize(
    "box", [(-20, 0, 0.5, 10), (30, 5, 50, 9), (5, -9, 15, 0), (5, 5, 5, 15), (float("nan"), 0, 10, 10)]
)
def test_a_face_outside_of_the_picture_is_dropped(box: tuple[float, float, float, float]) -> None:
    assert detect_padded(lambda _: [face(*box)], blank(30, 30)) == []


def test_a_face_half_outside_is_kept() -> None:
    half = face(-10, -10, 10, 10)
    assert detect_padded(lambda _: [half], blank(30, 30)) == [half]


def test_keypoints_that_are_not_finite_are_dropped() -> None:
    broken = face(5, 5, 15, 15)
    broken.keypoints[2, 1] = np.inf
    good = face(2, 2, 9, 9)
    assert detect_padded(lambda _: [broken, good], blank(30, 30)) == [good]
