"""Motion resampled in time: what stays, what is interpolated, what is measured anew."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from models.faces.framing import reference_boxes, stabilise_keypoints
from models.motion import Motion, intensities
from models.motion.resample import resample_positions, resample_rotation, resample_shots, resample_track
from troupe.faces import Track

FACE = np.array([[0.0, 0.0], [40.0, 0.0], [20.0, 20.0], [5.0, 30.0], [35.0, 30.0]])
WINDOW = 25


def clip(frames: int, cuts: tuple[int, ...] = (), shots: tuple[int, ...] = ()) -> tuple[tuple[Motion, ...], Track]:
    """A head that sways and nods and speaks; it jumps at every cut."""
    t = np.arange(frames) / 25
    scene = np.searchsorted(np.array(cuts, int), np.arange(frames), side="right")
    nose = np.stack([20 * np.sin(2 * t) + 300 * scene, 10 * np.cos(3 * t)], axis=1)
    keypoints = FACE + nose[:, None]
    keypoints[:, 3:, 1] += 4 * np.abs(np.sin(9 * t))[:, None]
    boxes = np.concatenate([nose - 30, nose + 70], axis=1)
    track = Track(boxes.astype(np.float32), keypoints.astype(np.float32), np.ones(frames, np.float32), cuts)
    features = np.stack([np.sin((k + 2) * t) for k in range(6)], axis=1) + 5 * scene[:, None]
    angles = np.stack([25 * np.sin(2 * t), 12 * np.cos(3 * t), 8 * np.sin(t + 1)], axis=1)
    motions = []
    for first, stop in pairwise([0, *shots, frames]):
        motions.append(
            Motion(
                torch.tensor(features[first:stop], dtype=torch.float32),
                torch.tensor(angles[first:stop], dtype=torch.float32),
                torch.from_numpy(levels(track.part(first, stop))),
            )
        )
    return tuple(motions), track


def levels(track: Track, crop: str = "first") -> NDArray[np.int64]:
    """Intensities as `Animator.encode_motion` measures them."""
    return intensities(stabilise_keypoints(track, reference_boxes(track, crop)), WINDOW)


def angle_between(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Degrees between rotations, (F, 3) yaw, pitch and roll."""
    turns = [Rotation.from_euler("yxz", angles * [1, -1, 1], degrees=True) for angles in (a, b)]
    return np.rad2deg((turns[0].inv() * turns[1]).magnitude())


class TestPositions:
    @given(st.integers(1, 400), st.integers(1, 400))
    def test_from_the_first_to_the_last_frame_in_even_steps(self, count: int, frames: int) -> None:
        positions = resample_positions(count, frames)
        assert positions.shape == (frames,)
        assert positions[0] == 0
        assert frames == 1 or positions[-1] == count - 1
        assert np.diff(positions, 2) == pytest.approx(0, abs=1e-8)

    @given(st.integers(1, 400))
    def test_equal_numbers_meet_every_frame(self, count: int) -> None:
        np.testing.assert_array_equal(resample_positions(count, count), np.arange(count))

    @given(st.integers(2, 200), st.integers(1, 300), st.data())
    def test_none_lies_between_two_scenes(self, count: int, frames: int, data: st.DataObject) -> None:
        cuts = data.draw(st.sets(st.integers(1, count - 1)))
        positions = resample_positions(count, frames, cuts=cuts)
        assert (np.diff(positions) >= 0).all()
        for cut in cuts:
            assert not ((positions > cut - 1) & (positions < cut)).any()

    def test_uneven_times_are_made_even(self) -> None:
        positions = resample_positions(4, 7, times=[0.0, 0.1, 0.2, 0.6])
        np.testing.assert_allclose(positions, [0, 1, 2, 2.25, 2.5, 2.75, 3])

    def test_nothing_is_refused(self) -> None:
        with pytest.raises(ValueError, match="cannot resample 5 frames to 0"):
            resample_positions(5, 0)


class TestRotation:
    @given(st.integers(0, 1000), st.integers(2, 12), st.integers(2, 60))
    def test_turns_evenly_from_frame_to_frame(self, seed: int, count: int, frames: int) -> None:
        steps = np.random.default_rng(seed).uniform(-8, 8, (count, 3))
        rotation = np.clip(np.cumsum(steps, axis=0), -70, 70)
        positions = resample_positions(count, frames)
        turned = resample_rotation(rotation, positions)
        left = np.minimum(positions.astype(int), count - 2)
        whole = angle_between(rotation[left], rotation[left + 1])
        np.testing.assert_allclose(angle_between(rotation[left], turned), whole * (positions - left), atol=1e-4)
        np.testing.assert_allclose(angle_between(turned, rotation[left + 1]), whole * (1 - positions + left), atol=1e-4)

    @given(st.integers(0, 1000), st.floats(1, 400))
    def test_any_angles_stay_near_their_frames(self, seed: int, spread: float) -> None:
        """Also with pitch beyond 90 degrees and over the end of the range, as untrained weights give them."""
        rotation = (np.random.default_rng(seed).normal(0, spread, (9, 3)) + 180) % 360 - 180
        positions = resample_positions(9, 31)
        turned = resample_rotation(rotation, positions)
        assert np.abs(turned).max() <= 180
        left, right = np.floor(positions).astype(int), np.ceil(positions).astype(int)
        step = np.abs((rotation[right] - rotation[left] + 180) % 360 - 180).max(axis=1)
        away = np.abs((turned - rotation[left] + 180) % 360 - 180).max(axis=1)
        assert (away <= 2 * step + 1e-9).all()

    def test_turns_the_short_way_over_the_end_of_the_range(self) -> None:
        rotation = np.array([[170.0, 0, 0], [-170.0, 0, 0]])
        turned = resample_rotation(rotation, np.array([0, 0.25, 0.75, 1]))
        np.testing.assert_allclose(turned[:, 0], [170, 175, -175, -170], atol=1e-9)
        np.testing.assert_allclose(turned[:, 1:], 0, atol=1e-9)

    def test_frames_are_exact(self) -> None:
        rotation = np.random.default_rng(0).uniform(-180, 180, (5, 3))
        turned = resample_rotation(rotation, np.array([0, 0.5, 1, 2, 2.25, 3, 4]))
        np.testing.assert_array_equal(turned[[0, 2, 3, 5, 6]], rotation)


class TestShots:
    @pytest.mark.parametrize("crop", ["first", "follow"])
    def test_the_same_number_changes_nothing(self, crop: str) -> None:
        shots, track = clip(80, cuts=(30,), shots=(30,))
        same, same_track = resample_shots(shots, track, 80, window=WINDOW, crop=crop)
        assert all(a is b for a, b in zip(same, shots, strict=True))
        assert same_track is track
        again = resample_track(track, resample_positions(80, 80))
        for name in ("boxes", "keypoints", "scores"):
            np.testing.assert_array_equal(getattr(again, name), getattr(track, name))
        assert again.cuts == track.cuts

    @pytest.mark.parametrize("frames", [68, 92, 200])
    @pytest.mark.parametrize("crop", ["first", "follow"])
    def test_intensities_are_those_of_the_resampled_track(self, frames: int, crop: str) -> None:
        shots, track = clip(80)
        (motion,), resampled = resample_shots(shots, track, frames, window=WINDOW, crop=crop)
        assert len(motion) == len(resampled) == frames
        np.testing.assert_array_equal(motion.intensity.numpy(), levels(resampled, crop))
        assert motion.frame_intensity(WINDOW).shape == (frames, 2)

    @given(st.integers(1, 60), st.integers(1, 90))
    def test_ends_are_kept_and_the_way_between_is_smooth(self, count: int, frames: int) -> None:
        shots, track = clip(count)
        (motion,), resampled = resample_shots(shots, track, frames, window=WINDOW)
        assert len(motion) == len(resampled) == frames
        for name in ("expression", "rotation"):
            old, new = (getattr(m, name) for m in (shots[0], motion))
            assert torch.equal(new[0], old[0])
            assert frames == 1 or torch.equal(new[-1], old[-1])
            if count > 1 and frames > 1:
                largest = (old[1:] - old[:-1]).abs().max() * max((count - 1) / (frames - 1), 1)
                assert (new[1:] - new[:-1]).abs().max() <= largest * 1.01 + 1e-4

    def test_follows_the_performance(self) -> None:
        """A slower clip shows what the clip itself shows at that moment."""
        shots, track = clip(100)
        (slow,), resampled = resample_shots(shots, track, 115, window=WINDOW)
        t = np.linspace(0, 99, 115) / 25
        np.testing.assert_allclose(slow.rotation[:, 0], 25 * np.sin(2 * t), atol=0.05)
        np.testing.assert_allclose(slow.expression[:, 3], np.sin(5 * t), atol=0.01)
        np.testing.assert_allclose(resampled.keypoints[:, 2, 0], 20 + 20 * np.sin(2 * t), atol=0.05)

    def test_scenes_do_not_mix(self) -> None:
        shots, track = clip(60, cuts=(20, 40), shots=(40,))
        motions, resampled = resample_shots(shots, track, 69, window=WINDOW)
        assert [len(motion) for motion in motions] == [46, 23]
        assert resampled.cuts == (23, 46)
        joined = torch.cat([motion.expression for motion in motions])
        scene = np.searchsorted(np.array(resampled.cuts), np.arange(69), side="right")
        assert (np.abs(joined.numpy() - 5 * scene[:, None]) <= 1).all()
        for motion, (first, stop) in zip(motions, [(0, 46), (46, 69)], strict=True):
            np.testing.assert_array_equal(motion.intensity.numpy(), levels(resampled.part(first, stop)))

    def test_gaps_stay_gaps(self) -> None:
        shots, track = clip(40)
        track.scores[10:20] = 0
        _, resampled = resample_shots(shots, track, 80, window=WINDOW)
        ((first, stop),) = resampled.gaps
        assert (first, stop) == pytest.approx((20, 40), abs=1)

    def test_a_shot_may_vanish(self) -> None:
        shots, track = clip(9, cuts=(4, 5), shots=(4, 5))
        motions, resampled = resample_shots(shots, track, 4, window=WINDOW)
        assert sum(map(len, motions)) == len(resampled) == 4

    def test_uneven_times(self) -> None:
        shots, track = clip(4)
        (motion,), _ = resample_shots(shots, track, 7, window=WINDOW, times=[0.0, 0.1, 0.2, 0.6])
        np.testing.assert_allclose(motion.expression[[0, 1, 2, 6]], shots[0].expression)

    def test_another_track_is_refused(self) -> None:
        shots, _ = clip(40)
        with pytest.raises(ValueError, match="shots of 40 frames do not fit a track of 39 frames"):
            resample_shots(shots, clip(39)[1], 50, window=WINDOW)
