from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.faces.paste_back.blend_linear import Paster, paste_mask

small = st.integers(1, 70)


@given(small, small)
def test_the_mask_is_symmetric_and_rises_inwards(height: int, width: int) -> None:
    mask = paste_mask(height, width)
    assert mask.shape == (height, width, 1)
    assert mask.dtype == np.float32
    np.testing.assert_allclose(mask, mask[::-1], atol=1e-7)
    np.testing.assert_allclose(mask, mask[:, ::-1], atol=1e-7)
    edge = int(0.1 * width)
    middle = mask[height // 2, :, 0]
    np.testing.assert_allclose(middle[:edge], np.linspace(0, 1, edge), atol=1e-7)
    assert (middle[edge : width - edge] == 1).all()


def test_corners_are_products() -> None:
    mask = paste_mask(100, 50)[..., 0]
    assert mask[4, 2] == pytest.approx(4 / 9 * 2 / 4)


@st.composite
def places(draw: st.DrawFn) -> tuple[int, int, tuple[int, int, int, int]]:
    width, height = draw(small), draw(small)
    x1, y1 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return width, height, (x1, y1, draw(st.integers(x1 + 1, width)), draw(st.integers(y1 + 1, height)))


@given(places(), st.integers(0, 2**32 - 1))
def test_pixels_outside_of_the_box_do_not_change(case: tuple[int, int, tuple[int, int, int, int]], seed: int) -> None:
    width, height, (x1, y1, x2, y2) = case
    random = np.random.default_rng(seed)
    picture = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    before = picture.copy()
    pasted = Paster(picture, (x1, y1, x2, y2))(random.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    outside = np.ones((height, width), dtype=bool)
    outside[y1:y2, x1:x2] = False
    assert pasted.dtype == np.uint8
    np.testing.assert_array_equal(pasted[outside], picture[outside])
    np.testing.assert_array_equal(picture, before)


def test_the_centre_is_the_frame_and_the_edge_the_picture() -> None:
    picture = np.full((80, 80, 3), 100, dtype=np.uint8)
    pasted = Paster(picture, (10, 10, 70, 70))(np.full((32, 32, 3), 200, dtype=np.uint8))
    assert (pasted[16:64, 16:64] == 200).all()
    assert (pasted[10, 10:70] == 100).all()
    assert (pasted[10:70, 69] == 100).all()


def test_one_paster_for_many_frames() -> None:
    random = np.random.default_rng(3)
    picture = random.integers(0, 256, (60, 70, 3), dtype=np.uint8)
    box = (5, 10, 45, 50)
    paster = Paster(picture, box)
    frames = [random.integers(0, 256, (24, 24, 3), dtype=np.uint8) for _ in range(3)]
    pasted = [paster(frame) for frame in frames]
    for frame, result in zip(frames, pasted, strict=True):
        np.testing.assert_array_equal(result, Paster(picture, box)(frame))


def test_the_paster_copies_the_picture() -> None:
    picture = np.full((30, 30, 3), 7, dtype=np.uint8)
    paster = Paster(picture, (5, 5, 25, 25))
    picture[:] = 0
    assert (paster(np.zeros((8, 8, 3), dtype=np.uint8))[:5] == 7).all()


@pytest.mark.parametrize("box", [(-1, 0, 10, 10), (0, 0, 31, 10), (5, 5, 5, 10), (0, 9, 10, 3), (0, 0, 10, 31)])
def test_a_box_outside_of_the_picture_is_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="not inside"):
        Paster(np.zeros((30, 30, 3), dtype=np.uint8), box)
