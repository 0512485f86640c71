"""Drawn people are reproducible, and their ground truth is exact."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.miniature import CLIP_SIZE, PORTRAIT_SIZE, Identity, Moment, Performance, draw_clip, draw_portrait, render
from troupe import Face

BIG = (512, 512)

moments = st.builds(
    Moment,
    yaw=st.floats(-35, 35),
    pitch=st.floats(-16, 16),
    roll=st.floats(-15, 15),
    x=st.floats(-0.3, 0.3),
    y=st.floats(-0.2, 0.2),
    scale=st.floats(0.9, 1.1),
    left=st.floats(0, 1),
    right=st.floats(0, 1),
    gaze_x=st.floats(-1, 1),
    gaze_y=st.floats(-1, 1),
    brows=st.floats(-1, 1),
    mouth=st.floats(0, 1),
    width=st.floats(-1, 1),
    smile=st.floats(-1, 1),
)


def middle(face: Face) -> np.ndarray:
    """Return the point between the eyes."""
    return face.keypoints[:2].mean(axis=0)


def changed(a: Moment, b: Moment, seed: int) -> np.ndarray:
    """Return the pixels (N, 2), as x, y, in which two moments of one person differ visibly."""
    person = replace(Identity.from_seed(seed), glasses="none")
    first, second = (render(person, moment, BIG)[0].astype(int) for moment in (a, b))
    y, x = np.nonzero(np.abs(first - second).max(axis=2) > 40)
    return np.stack([x, y], axis=1)


def test_a_seed_identifies_a_person() -> None:
    first, face = draw_portrait(7)
    again, same = draw_portrait(7)
    assert np.array_equal(first, again)
    assert np.array_equal(face.keypoints, same.keypoints)
    assert np.array_equal(face.box, same.box)
    assert Identity.from_seed(7) == Identity.from_seed(7)
    assert not np.array_equal(first, draw_portrait(8)[0])
    assert len({Identity.from_seed(seed) for seed in range(100)}) == 100


def test_callers_may_write_into_pictures() -> None:
    first = draw_portrait(7)[0]
    kept = first.copy()
    first[:] = 0
    assert np.array_equal(draw_portrait(7)[0], kept)


@pytest.mark.parametrize("size", [(64, 64), (97, 131), (192, 128), PORTRAIT_SIZE, BIG])
def test_portraits_of_any_size(size: tuple[int, int]) -> None:
    picture, face = draw_portrait(3, size)
    assert picture.shape == (size[1], size[0], 3)
    assert picture.dtype == np.uint8
    assert face.box.dtype == face.keypoints.dtype == np.float32
    assert (face.box[:2] > 0).all()
    assert (face.box[2:] < size).all()


def test_a_larger_picture_shows_the_same() -> None:
    """Positions count from the centre of the first pixel."""
    small, large = (render(Identity.from_seed(5), Moment(yaw=20, mouth=0.5), (side, side)) for side in (128, 256))
    assert np.allclose((small[1].keypoints + 0.5) * 2, large[1].keypoints + 0.5, atol=1e-3)
    shrunk = large[0].reshape(128, 2, 128, 2, 3).mean(axis=(1, 3))
    assert np.abs(shrunk - small[0]).mean() < 2


@given(seed=st.integers(0, 2**40), moment=moments)
@settings(max_examples=40, deadline=None)
def test_keypoints_are_in_the_box_and_in_order(seed: int, moment: Moment) -> None:
    face = render(Identity.from_seed(seed), moment, (64, 64))[1]
    points, box = face.keypoints, face.box
    assert np.isfinite(points).all()
    assert (points >= box[:2] - 0.01).all()
    assert (points <= box[2:] + 0.01).all()
    assert points[0, 0] < points[1, 0]
    assert points[3, 0] < points[4, 0]
    down = (points[3:].mean(axis=0) - middle(face)) / np.linalg.norm(points[3:].mean(axis=0) - middle(face))
    assert 0 < (points[2] - middle(face)) @ down < (points[3:].mean(axis=0) - middle(face)) @ down


@pytest.mark.parametrize("seed", range(12))
def test_pupils_are_at_the_eyes_keypoints(seed: int) -> None:
    person = replace(Identity.from_seed(seed), glasses="none")
    picture, face = render(person, Moment(yaw=10, roll=-8), BIG)
    for x, y in face.keypoints[:2].round().astype(int):
        red, green, blue = picture[y + 2, x + 2].astype(int)  # beside the catchlight
        assert red + green + blue < 240
        assert blue > green


@pytest.mark.parametrize("seed", [0, 5, 9, 22])
def test_a_mouth_that_opens_changes_the_lower_face(seed: int) -> None:
    where = changed(Moment(smile=0.3), Moment(smile=0.3, mouth=1.0), seed)
    face = render(Identity.from_seed(seed), Moment(smile=0.3), BIG)[1]
    assert len(where) > 500
    assert where[:, 1].min() > (face.keypoints[2, 1] + middle(face)[1]) / 2
    assert (where.min(axis=0) < face.keypoints[4]).all()
    assert where[:, 0].max() > face.keypoints[3, 0]


@pytest.mark.parametrize(("eye", "shut"), [(0, {"left": 0.0}), (1, {"right": 0.0})])
def test_a_wink_changes_one_eye(eye: int, shut: dict[str, float]) -> None:
    where = changed(Moment(), Moment(**shut), 4)
    face = render(Identity.from_seed(4), Moment(), BIG)[1]
    apart = np.linalg.norm(face.keypoints[1] - face.keypoints[0])
    assert len(where) > 100
    assert np.linalg.norm(where - face.keypoints[eye], axis=1).max() < apart / 2


def test_the_head_moves_as_the_moment_says() -> None:
    person = Identity.from_seed(11)

    def face(moment: Moment) -> Face:
        return render(person, moment, BIG)[1]

    straight = face(Moment())
    unit = straight.keypoints[1, 0] - straight.keypoints[0, 0]
    assert abs(straight.keypoints[2, 0] - middle(straight)[0]) < 1e-2
    assert face(Moment(yaw=25)).keypoints[2, 0] - middle(face(Moment(yaw=25)))[0] > 0.1 * unit
    assert face(Moment(yaw=-25)).keypoints[2, 0] - middle(face(Moment(yaw=-25)))[0] < -0.1 * unit
    # Looking down brings the nose nearer to the mouth.
    low, high = (
        f.keypoints[3:, 1].mean() - f.keypoints[2, 1] for f in (face(Moment(pitch=15)), face(Moment(pitch=-15)))
    )
    assert low < straight.keypoints[3:, 1].mean() - straight.keypoints[2, 1] < high
    across = face(Moment(roll=12)).keypoints[1] - face(Moment(roll=12)).keypoints[0]
    assert np.rad2deg(np.arctan2(across[1], across[0])) == pytest.approx(12, abs=0.5)
    assert np.allclose(face(Moment(x=0.2)).keypoints - straight.keypoints, [0.1 * 2 * 0.215 * 512, 0], atol=1e-2)
    near = face(Moment(scale=1.1))
    assert near.keypoints[1, 0] - near.keypoints[0, 0] == pytest.approx(1.1 * unit, rel=1e-4)


def test_people_differ_in_every_factor() -> None:
    people = [Identity.from_seed(seed) for seed in range(400)]
    for name in Identity.__dataclass_fields__:
        assert len({getattr(person, name) for person in people}) > 1, name
    assert all(person.beard == "none" for person in people if person.hair in ("scarf", "long"))


def test_a_clip_is_a_performance_of_a_person() -> None:
    frames = list(draw_clip(3, 5, 6, 25))
    assert len(frames) == 6
    person, performance = Identity.from_seed(3), Performance.from_seed(5, 6, 25)
    for (picture, face), moment in zip(frames, performance.moments, strict=True):
        expected, where = render(person, moment, CLIP_SIZE)
        assert np.array_equal(picture, expected)
        assert np.array_equal(face.keypoints, where.keypoints)
    assert any(not np.array_equal(frames[0][0], picture) for picture, _ in frames)


def test_clips_are_drawn_lazily() -> None:
    assert len(list(islice(draw_clip(3, 5, 100_000, 25, (64, 64)), 3))) == 3
