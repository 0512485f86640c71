from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.motion import Motion, load_shots, save_shots
from models.tensorfile import write_tensors
from tests.models.motion.test_motion import motion


def test_shots_are_read_as_written(tmp_path: Path) -> None:
    saved = (motion(), motion(frames=4, chunks=1))
    save_shots(saved, tmp_path / "clip")
    loaded = load_shots(tmp_path / "clip")
    assert len(loaded) == 2
    for name in ("expression", "rotation", "intensity"):
        for before, after in zip(saved, loaded, strict=True):
            assert torch.equal(getattr(after, name), getattr(before, name))


def test_equal_values_give_equal_bytes(tmp_path: Path) -> None:
    """Even if they are views of the same memory."""
    both = torch.randn(9, 11)
    views = Motion(both[1:, :8], both[1:, 8:], torch.ones(8, 2, dtype=torch.int64)[::2])
    copies = Motion(views.expression.clone(), views.rotation.clone(), views.intensity.clone())
    save_shots([views], tmp_path / "a")
    save_shots([copies], tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_takes_about_2_kb_per_frame(tmp_path: Path) -> None:
    save_shots([motion(frames=500, chunks=20, features=512)], tmp_path / "clip")
    assert (tmp_path / "clip").stat().st_size < 500 * 2100


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "clip"
    save_shots([motion()], path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"clip is damaged .* delete it"):
        load_shots(path)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    write_tensors(tmp_path / "face", "troupe appearance 1", {"tokens": torch.randn(4, 8)})
    with pytest.raises(ValueError, match="face holds troupe appearance 1, not troupe shots 1"):
        load_shots(tmp_path / "face")


def test_a_missing_file_raises_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_shots(tmp_path / "nothing")


def test_errors_of_invalid_values_name_the_file(tmp_path: Path) -> None:
    wrong, lengths = torch.zeros(1), torch.ones(1, 2, dtype=torch.int64)
    tensors = {"expression": wrong, "rotation": wrong, "intensity": wrong, "lengths": lengths}
    write_tensors(tmp_path / "clip", "troupe shots 1", tensors)
    with pytest.raises(ValueError, match="clip does not hold valid motions: a motion is"):
        load_shots(tmp_path / "clip")
