from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.motion import Motion


def motion(frames: int = 7, chunks: int = 3, features: int = 8) -> Motion:
    torch.manual_seed(frames)
    return Motion(torch.randn(frames, features), torch.randn(frames, 3), torch.randint(0, 128, (chunks, 2)))


def test_length_is_the_number_of_frames() -> None:
    assert len(motion(frames=7)) == 7


@given(st.integers(1, 80), st.integers(1, 30))
def test_a_frames_intensity_is_that_of_its_chunk(frames: int, window: int) -> None:
    clip = motion(frames, -(-frames // window), 1)
    spread = clip.frame_intensity(window)
    assert spread.shape == (frames, 2)
    assert all(torch.equal(spread[i], clip.intensity[i // window]) for i in range(frames))


def test_another_window_is_refused() -> None:
    with pytest.raises(ValueError, match="7 frames in windows of 2"):
        motion(frames=7, chunks=3).frame_intensity(2)


@pytest.mark.parametrize(
    ("expression", "rotation", "intensity"),
    [
        (torch.zeros(0, 8), torch.zeros(0, 3), torch.zeros(0, 2, dtype=torch.int64)),
        (torch.zeros(4), torch.zeros(4, 3), torch.zeros(1, 2, dtype=torch.int64)),
        (torch.zeros(4, 8), torch.zeros(3, 3), torch.zeros(1, 2, dtype=torch.int64)),
        (torch.zeros(4, 8), torch.zeros(4, 6), torch.zeros(1, 2, dtype=torch.int64)),
        (torch.zeros(4, 8), torch.zeros(4, 3), torch.zeros(5, 2, dtype=torch.int64)),
        (torch.zeros(4, 8), torch.zeros(4, 3), torch.zeros(0, 2, dtype=torch.int64)),
        (torch.zeros(4, 8), torch.zeros(4, 3), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(4, 8), torch.zeros(4, 3), torch.zeros(1, 2)),
        (torch.zeros(4, 8, dtype=torch.bfloat16), torch.zeros(4, 3), torch.zeros(1, 2, dtype=torch.int64)),
    ],
)
def test_invalid_tensors_are_refused(expression: Tensor, rotation: Tensor, intensity: Tensor) -> None:
    with pytest.raises(ValueError, match="a motion is"):
        Motion(expression, rotation, intensity)
