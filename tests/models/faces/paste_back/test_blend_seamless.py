from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.faces.crops import Box, crop_head
from models.faces.paste_back.blend_linear import Paster, make_paster
from models.faces.paste_back.blend_seamless import (
    _LINEAR,
    BRIGHTEST,
    DARKEST,
    SeamlessPaster,
    _median_ratio,
    _mixed,
)
from tests.models.faces.paste_back.test_blend_linear import places
from troupe.errors import SettingsError
from troupe.faces import Picture

BOX = (60, 40, 360, 340)


def grainy(width: int = 480, height: int = 400) -> Picture:
    """Return a smooth picture with film grain."""
    random = np.random.default_rng(0)
    scene = cv2.resize(random.uniform(60, 200, (6, 7, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(scene + random.normal(0, 6, (height, width, 1)), 0, 255).astype(np.uint8)


def own_crop(picture: Picture, side: int = 128, box: Box = BOX) -> Picture:
    return crop_head(picture, box, side).copy()


def tinted(crop: Picture) -> Picture:
    """Darken by a tenth, and blue by another tenth."""
    return np.clip(crop * np.array([0.9, 0.9, 0.81]), 0, 255).astype(np.uint8)


def step(pasted: Picture, picture: Picture, box: Box = BOX) -> float:
    """Return the change of colour just inside the mask's border, in levels."""
    x1, y1, x2, y2 = box
    change = pasted[y1:y2, x1:x2].astype(float) - picture[y1:y2, x1:x2]
    side = x2 - x1
    outer, inner = int(0.15 * side), int(0.25 * side)
    ring = np.zeros(change.shape[:2], dtype=bool)
    ring[outer : side - outer, outer : side - outer] = True
    ring[inner : side - inner, inner : side - inner] = False
    return float(np.abs(change[ring].mean(axis=0)).mean())


@given(places(), st.integers(0, 2**32 - 1))
def test_pixels_outside_of_the_box_do_not_change(case: tuple[int, int, Box], seed: int) -> None:
    width, height, (x1, y1, x2, y2) = case
    random = np.random.default_rng(seed)
    picture = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    before = picture.copy()
    pasted = SeamlessPaster(picture, (x1, y1, x2, y2))(random.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    outside = np.ones((height, width), dtype=bool)
    outside[y1:y2, x1:x2] = False
    assert pasted.dtype == np.uint8
    np.testing.assert_array_equal(pasted[outside], picture[outside])
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize("side", [64, 128, 300])
def test_a_picture_pasted_onto_itself_does_not_change(side: int) -> None:
    picture = grainy()
    pasted = SeamlessPaster(picture, BOX)(own_crop(picture, side))
    assert np.abs(pasted.astype(int) - picture).max() <= 1


def test_a_darker_and_tinted_frame_leaves_no_step() -> None:
    picture = grainy()
    frame = tinted(own_crop(picture))
    seamless, reference = (
        step(make_paster(blend, picture, BOX)(frame), picture) for blend in ("seamless", "reference")
    )
    assert reference > 8
    assert seamless < reference / 10


def test_moved_parts_are_from_the_frame_and_others_keep_their_grain() -> None:
    picture = grainy()
    frame = own_crop(picture)
    frame[50:80, 50:80] = (250, 20, 20)
    pasted = SeamlessPaster(picture, BOX)(frame)
    scale = 300 / 128
    middle = tuple(int(65 * scale) + corner for corner in (BOX[1], BOX[0]))
    assert np.abs(pasted[middle].astype(int) - (250, 20, 20)).max() <= 12
    y, x = BOX[1] + 60, BOX[0] + 60
    np.testing.assert_allclose(pasted[y : y + 20, x : x + 20], picture[y : y + 20, x : x + 20], atol=2)


def test_a_side_at_the_pictures_border_does_not_fade() -> None:
    picture = grainy(300, 300)
    frame = np.full((64, 64, 3), 130, dtype=np.uint8)
    pasted = SeamlessPaster(picture, (0, 0, 300, 200))(frame)
    assert pasted[:100, :, 0].std() < 4
    assert np.abs(pasted[199].astype(int) - picture[199]).max() <= 2


def test_colour_does_not_flicker() -> None:
    picture = grainy()
    crop = own_crop(picture)
    paster = SeamlessPaster(picture, BOX)
    levels = []
    for number in range(20):
        paster_frame = np.clip(crop * (1.0 if number % 2 else 0.9), 0, 255).astype(np.uint8)
        levels.append(float(paster(paster_frame)[150:250, 150:250].mean()))
    # The frames keep their own flicker, and none is added: the factor is nearly the same for all.
    assert np.ptp(levels[10::2]) < 1
    assert np.ptp(levels[11::2]) < 1


def test_black_and_white_frames_do_not_determine_colour() -> None:
    picture = grainy()
    for level in (0, 255):
        pasted = SeamlessPaster(picture, BOX)(np.full((64, 64, 3), level, dtype=np.uint8))
        assert (pasted[150:230, 150:230] == level).all()


@given(
    levels=st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), min_size=1, max_size=40),
)
def test_the_median_of_counted_pairs_is_that_of_all_pixels(levels: list[tuple[int, int]]) -> None:
    target, source = np.array(levels, np.uint8).T
    reliable = (target > DARKEST) & (target < BRIGHTEST) & (source > DARKEST) & (source < BRIGHTEST)
    expected = 1.0
    if reliable.sum() > len(levels) // 10:
        expected = float(np.median(_LINEAR[target[reliable]] / _LINEAR[source[reliable]]))
    assert _median_ratio(target, source) == expected


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_strips_are_blended_as_in_whole_numbers(height: int, width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    picture, new, old = random.integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    kept = random.integers(0, 256, (height, width), dtype=np.uint8)
    mask = random.integers(0, 257, (height, width))
    detail = ((picture.astype(int) - old) * kept[..., None] + 127) // 255
    full = np.clip(new + detail, 0, 255)
    expected = picture + (((full - picture) * mask[..., None] + 128) >> 8)
    mixed = _mixed(picture, new, old, kept, mask.astype(np.float32) / 256)
    np.testing.assert_array_equal(mixed, expected)


def test_an_unknown_blend_is_refused() -> None:
    picture = grainy(64, 64)
    assert isinstance(make_paster("reference", picture, (0, 0, 60, 60)), Paster)
    assert isinstance(make_paster("seamless", picture, (0, 0, 60, 60)), SeamlessPaster)
    with pytest.raises(SettingsError, match="seamless or reference"):
        make_paster("poisson", picture, (0, 0, 60, 60))
    with pytest.raises(ValueError, match="not inside"):
        SeamlessPaster(picture, (5, 5, 5, 10))
