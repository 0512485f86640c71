from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.motion import Motion
from models.tensorfile import write_tensors


def motion(frames: int = 7, chunks: int = 3, features: int = 8) -> Motion:
    torch.manual_seed(frames)
    return Motion(torch.randn(frames, features), torch.randn(frames, 3), torch.randint(0, 128, (chunks, 2)))


def test_length_is_frames() -> None:
    assert len(motion(frames=7)) == 7


@given(st.integers(1, 80), st.integers(1, 30))
def test_a_frames_intensity_is_that_of_its_chunk(frames: int, window: int) -> None:
    clip = motion(frames, -(-frames // window), 1)
    spread = clip.frame_intensity(window)
    assert spread.shape == (frames, 2)
    assert all(torch.equal(spread[i], clip.intensity[i // window]) for i in range(frames))


def test_refuses_a_window_it_was_not_encoded_with() -> None:
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
def test_refuses_tensors_that_are_no_motion(expression: Tensor, rotation: Tensor, intensity: Tensor) -> None:
    with pytest.raises(ValueError, match="a motion is"):
        Motion(expression, rotation, intensity)


class TestFile:
    def test_comes_back_as_it_was(self, tmp_path: Path) -> None:
        saved = motion()
        saved.save(tmp_path / "clip")
        loaded = Motion.load(tmp_path / "clip")
        for name in ("expression", "rotation", "intensity"):
            assert torch.equal(getattr(loaded, name), getattr(saved, name))

    def test_is_the_same_bytes_for_the_same_values(self, tmp_path: Path) -> None:
        """Even when they are views of one another's memory."""
        both = torch.randn(9, 11)
        views = Motion(both[1:, :8], both[1:, 8:], torch.ones(8, 2, dtype=torch.int64)[::2])
        copies = Motion(views.expression.clone(), views.rotation.clone(), views.intensity.clone())
        views.save(tmp_path / "a")
        copies.save(tmp_path / "b")
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    def test_is_about_2_kb_a_frame(self, tmp_path: Path) -> None:
        motion(frames=500, chunks=20, features=512).save(tmp_path / "clip")
        assert (tmp_path / "clip").stat().st_size < 500 * 2100

    @pytest.mark.parametrize("keep", [0, 4, 100, -1])
    def test_cut_short_is_refused(self, tmp_path: Path, keep: int) -> None:
        path = tmp_path / "clip"
        motion().save(path)
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(ValueError, match=r"clip is damaged .* delete it"):
            Motion.load(path)

    def test_of_another_kind_is_refused(self, tmp_path: Path) -> None:
        write_tensors(tmp_path / "face", "troupe appearance 1", {"tokens": torch.randn(4, 8)})
        with pytest.raises(ValueError, match="face holds troupe appearance 1, not troupe motion 1"):
            Motion.load(tmp_path / "face")

    def test_absent_is_a_file_not_found(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            Motion.load(tmp_path / "nothing")
