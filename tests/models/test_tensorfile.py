from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.tensorfile import read_tensors, write_tensors


def test_tensors_are_returned_in_the_requested_order(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_tensors(path, "thing 1", {"a": torch.arange(3), "b": torch.ones(2, 2)})
    b, a = read_tensors(path, "thing 1", "b", "a")
    assert torch.equal(a, torch.arange(3))
    assert torch.equal(b, torch.ones(2, 2))


@pytest.mark.parametrize("mask", [0o022, 0o027])
def test_permissions_follow_the_umask(tmp_path: Path, mask: int) -> None:
    """A model converted by an administrator is read by other users."""
    before = os.umask(mask)
    try:
        write_tensors(tmp_path / "file", "thing 1", {"a": torch.zeros(1)})
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("names", [("a",), ("a", "b", "c"), ("a", "c")])
def test_unexpected_tensors_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    path = tmp_path / "file"
    write_tensors(path, "thing 1", {"a": torch.zeros(1), "b": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"file holds \['a', 'b'\]"):
        read_tensors(path, "thing 1", *names)


def test_files_without_a_version_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="holds something else, not thing 1"):
        read_tensors(path, "thing 1", "a")
