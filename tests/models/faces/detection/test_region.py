from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.faces.detection.region import crop_region
from tests.models.faces.fakes import blank, face
from troupe.faces import Face


@given(st.floats(-40, 380), st.floats(-40, 280), st.floats(12, 250), st.integers(64, 256))
def test_coordinates_are_mapped_back_to_the_picture(x: float, y: float, side: float, size: int) -> None:
    picture = blank(400, 300)
    picture[np.clip(int(y + side / 2), 0, 299), np.clip(int(x + side / 2), 0, 399)] = 255
    box = np.array([x, y, x + side, y + side], dtype=np.float32)
    region = crop_region(picture, box, size)
    if region is None:
        return
    assert region.picture.shape == (size, size, 3)
    rows, columns = np.nonzero(region.picture[..., 0] > region.picture[..., 0].max() / 2)
    if not len(rows) or region.picture.max() < 8:
        return  # reduced to nothing, or outside
    middle = np.array([columns.mean() + 0.5, rows.mean() + 0.5], dtype=np.float32)
    found = region.to_picture(Face(np.tile(middle, 2), np.tile(middle, (5, 1)), 1.0))
    expected = [np.clip(int(x + side / 2), 0, 399) + 0.5, np.clip(int(y + side / 2), 0, 299) + 0.5]
    np.testing.assert_allclose(found.box[:2], expected, atol=max(1.6 / region.scale, 0.6))


def test_the_face_is_half_as_wide_as_the_region() -> None:
    region = crop_region(blank(400, 300), face(100, 100, 150, 150).box, 224)
    assert region is not None
    assert region.scale == pytest.approx(2.24)
    np.testing.assert_allclose(region.corner, [75, 75])


def test_pixels_outside_of_the_picture_are_black() -> None:
    picture = np.full((100, 100, 3), 200, dtype=np.uint8)
    region = crop_region(picture, face(-20, -20, 20, 20).box, 80)
    assert region is not None
    assert (region.picture[:40] == 0).all()
    assert (region.picture[40:, 40:] == 200).all()


@pytest.mark.parametrize("box", [(500, 500, 520, 520), (float("nan"), 0, 9, 9), (-90, 0, -80, 10)])
def test_a_box_without_visible_pixels_has_no_region(box: tuple[float, ...]) -> None:
    assert crop_region(blank(100, 100), np.array(box, dtype=np.float32), 64) is None
