from __future__ import annotations

import numpy as np
import pytest

from models.faces.framing import reference_boxes, stabilise_keypoints
from models.motion import intensities
from tests.models.faces.fakes import face
from troupe.errors import SettingsError
from troupe.faces import Track


def walking(count: int, pace: float, growth: float = 0.0, cuts: tuple[int, ...] = ()) -> Track:
    """Return a track of a face that moves to the right and grows, with quick nods."""
    nod = 3 * np.sin(np.arange(count) * 2.0)
    size = 60 * np.exp(growth * np.arange(count))
    faces = [
        face(pace * i - s / 2, 100 - s / 2 + n, pace * i + s / 2, 100 + s / 2 + n)
        for i, (s, n) in enumerate(zip(size, nod, strict=True))
    ]
    boxes, points = np.stack([f.box for f in faces]), np.stack([f.keypoints for f in faces])
    return Track(boxes, points, np.ones(count, dtype=np.float32), cuts)


def test_the_default_reference_is_the_first_box() -> None:
    track = walking(5, 2)
    np.testing.assert_array_equal(reference_boxes(track, "first"), np.tile(track.boxes[0], (5, 1)))
    assert stabilise_keypoints(track, reference_boxes(track, "first")) is track.keypoints


def test_every_scene_has_its_own_reference() -> None:
    track = walking(8, 2, cuts=(4,))
    track.scores[4] = 0
    boxes = reference_boxes(track, "first")
    np.testing.assert_array_equal(boxes[:4], np.tile(track.boxes[0], (4, 1)))
    np.testing.assert_array_equal(boxes[4:], np.tile(track.boxes[5], (4, 1)))


def test_a_following_frame_follows_the_walk_and_not_the_nods() -> None:
    track = walking(120, 5)
    boxes = reference_boxes(track, "follow")
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    inner = slice(35, 85)
    np.testing.assert_allclose(centres[inner, 0], 5 * np.arange(120)[inner], atol=0.5)
    np.testing.assert_allclose(centres[inner, 1], 100, atol=0.3)
    assert boxes.dtype == np.float32


def test_a_following_frame_is_not_smoothed_across_cuts() -> None:
    left, right = walking(30, 0), walking(30, 0)
    boxes = np.concatenate([left.boxes, right.boxes + 500])
    points = np.concatenate([left.keypoints, right.keypoints + 500])
    track = Track(boxes, points, np.ones(60, dtype=np.float32), cuts=(30,))
    framed = reference_boxes(track, "follow")
    assert framed[:30, 0].max() < 0
    assert framed[30:, 0].min() > 460


def test_walking_does_not_raise_intensity() -> None:
    still, moving = walking(75, 0), walking(75, 6, growth=0.004)
    steady = stabilise_keypoints(moving, reference_boxes(moving, "follow"))
    levels = intensities(steady, 25)
    assert abs(levels[1] - intensities(still.keypoints, 25)[1]).max() <= 5
    assert intensities(moving.keypoints, 25)[1, 0] == 127


def test_an_unknown_framing_is_refused() -> None:
    with pytest.raises(SettingsError, match="first or follow"):
        reference_boxes(walking(3, 0), "centre")
