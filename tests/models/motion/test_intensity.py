from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from models.motion import intensities, intensity

FACE = np.array([[0.0, 0.0], [40.0, 0.0], [20.0, 20.0], [5.0, 30.0], [35.0, 30.0]])
SIZE = 50.0  # 40 wide, 30 high

pixels = st.floats(-5000, 5000, width=32)
clips = st.integers(1, 30).flatmap(lambda frames: npst.arrays(np.float32, (frames, 5, 2), elements=pixels))

# Integers and a power of two as the number of frames: means are exact, so results can be compared for equality.
whole_clips = st.sampled_from([1, 2, 4, 8, 16]).flatmap(
    lambda frames: npst.arrays(np.int64, (frames, 5, 2), elements=st.integers(-2000, 2000))
)


def moved(*offsets: tuple[float, float]) -> NDArray[np.float64]:
    """Return the face at each of these positions."""
    places: NDArray[np.float64] = np.array(offsets)[:, None]
    return FACE + places


class TestIntensity:
    def test_a_face_at_rest_has_intensity_0(self) -> None:
        assert intensity(moved((7, 9), (7, 9), (7, 9))) == (0, 0)

    def test_head_is_the_mean_distance_of_the_nose_from_its_mean(self) -> None:
        # 3-4-5: each frame is 5 pixels from the middle one.
        assert intensity(moved((-3, -4), (3, 4))) == (int(5 / SIZE * 256), 0)

    def test_expression_is_the_mean_over_all_five_points(self) -> None:
        points = np.stack([FACE, FACE])
        points[1, 4] += (0, 10)  # one point of five, 5 pixels from its mean
        assert intensity(points) == (0, int(5 / 5 / SIZE * 1024))

    def test_size_is_that_of_the_first_frame(self) -> None:
        large, small = 2 * FACE, FACE
        assert intensity(np.stack([small, large]))[1] > intensity(np.stack([large, small]))[1] > 0

    def test_is_truncated_not_rounded(self) -> None:
        assert intensity(moved((-0.19, 0), (0.19, 0))) == (0, 0)  # 0.97
        assert intensity(moved((-0.20, 0), (0.20, 0))) == (1, 0)  # 1.02

    @given(clips)
    def test_is_in_0_to_127(self, clip: NDArray[np.float32]) -> None:
        head, expression = intensity(clip)
        assert isinstance(head, int)
        assert isinstance(expression, int)
        assert 0 <= head <= 127
        assert 0 <= expression <= 127

    @given(npst.arrays(np.float32, (1, 5, 2), elements=pixels))
    def test_of_one_frame_is_0(self, clip: NDArray[np.float32]) -> None:
        assert intensity(clip) == (0, 0)

    @given(whole_clips, st.integers(-3000, 3000), st.integers(-3000, 3000))
    def test_does_not_depend_on_the_position(self, clip: NDArray[np.int64], x: int, y: int) -> None:
        assert intensity(clip + np.array([x, y])) == intensity(clip)

    @given(whole_clips, st.integers(-3, 3))
    def test_does_not_depend_on_the_scale(self, clip: NDArray[np.int64], power: int) -> None:
        assert intensity(clip * 2.0**power) == intensity(clip)

    @given(whole_clips)
    def test_does_not_depend_on_mirroring(self, clip: NDArray[np.int64]) -> None:
        assert intensity(clip * np.array([-1, 1])) == intensity(clip)

    @given(whole_clips)
    def test_head_intensity_is_0_without_head_movement(self, clip: NDArray[np.int64]) -> None:
        still = clip - clip[:, 2:3]
        assert intensity(still) == (0, intensity(clip)[1])

    @given(npst.arrays(np.int64, (8, 2), elements=st.integers(-100, 100)), st.integers(1, 8))
    def test_grows_with_the_movement(self, path: NDArray[np.int64], factor: int) -> None:
        offsets = path[:, None]
        assert intensity(FACE + factor * offsets)[0] >= intensity(FACE + offsets)[0]

    def test_a_face_without_extent(self) -> None:
        point = np.zeros((2, 5, 2))
        assert intensity(point) == (0, 0)
        point[1] += 1
        assert intensity(point) == (127, 0)
        point[1, 0] += 1
        assert intensity(point) == (127, 127)

    @pytest.mark.parametrize("shape", [(0, 5, 2), (5, 2), (3, 5, 3), (3, 4, 2)])
    def test_other_shapes_are_refused(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match=r"\(T, 5, 2\)"):
            intensity(np.zeros(shape))

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_values_that_are_not_finite_are_refused(self, value: float) -> None:
        points = moved((0, 0), (1, 1))
        points[1, 3, 0] = value
        with pytest.raises(ValueError, match="not finite"):
            intensity(points)


class TestIntensities:
    @given(st.integers(1, 60), st.integers(1, 30), st.integers(0, 2**32))
    def test_one_pair_per_chunk(self, frames: int, window: int, seed: int) -> None:
        clip = FACE + np.random.default_rng(seed).normal(0, 3, (frames, 5, 2))
        edges = [*range(0, frames, window), frames]
        expected = [list(intensity(clip[start:end])) for start, end in pairwise(edges)]

        actual = intensities(clip, window)

        assert actual.dtype == np.int64
        assert actual.shape == (-(-frames // window), 2)
        assert actual.tolist() == expected

    @given(clips, st.integers(1, 25))
    def test_chunks_are_independent(self, clip: NDArray[np.float32], window: int) -> None:
        assume(len(clip) > window)
        other = clip.copy()
        other[window:] = 0
        assert intensities(other, window)[0].tolist() == intensities(clip, window)[0].tolist()

    def test_a_window_without_frames_is_refused(self) -> None:
        with pytest.raises(ValueError, match="at least 1 frame"):
            intensities(moved((0, 0)), 0)

    def test_a_clip_without_frames_is_refused(self) -> None:
        with pytest.raises(ValueError, match="T of at least 1"):
            intensities(np.zeros((0, 5, 2)), 25)
