from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.faces.alignment import TEMPLATE, align_face
from troupe.errors import NoFace


def picture_of_positions(side: int) -> np.ndarray:
    """Return a picture whose red is x and green is y."""
    y, x = np.mgrid[:side, :side]
    return np.stack([x, y, np.full_like(x, 255)], axis=-1).astype(np.uint8)


@settings(max_examples=25)
@given(st.floats(-0.6, 0.6), st.floats(0.6, 1.3), st.floats(-10, 10), st.floats(-10, 10))
def test_keypoints_are_mapped_to_the_template(angle: float, scale: float, dx: float, dy: float) -> None:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    keypoints = (TEMPLATE - 56) @ turn.T + [128 + dx, 128 + dy]
    aligned = align_face(picture_of_positions(256), keypoints.astype(np.float32))
    assert aligned.shape == (112, 112, 3)
    assert aligned.dtype == np.float32
    for (x, y), (source_x, source_y) in zip(TEMPLATE, keypoints, strict=True):
        red, green, _ = aligned[round(y), round(x)] * 255
        assert abs(red - source_x) < 1.5
        assert abs(green - source_y) < 1.5


def test_keypoints_at_the_template_leave_the_picture_unchanged() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    np.testing.assert_allclose(align_face(picture, TEMPLATE.astype(np.float32)), picture / 255, atol=1e-4)


def test_pixels_outside_of_the_picture_are_black() -> None:
    picture = np.full((112, 112, 3), 255, dtype=np.uint8)
    aligned = align_face(picture, (TEMPLATE - 56).astype(np.float32))
    assert (aligned[:55, :55] == 0).all()
    np.testing.assert_allclose(aligned[57:, 57:], 1)


@pytest.mark.parametrize("value", [50.0, float("nan")])
def test_degenerate_keypoints_are_refused(value: float) -> None:
    with pytest.raises(NoFace, match="keypoints"):
        align_face(picture_of_positions(112), np.full((5, 2), value, dtype=np.float32))
