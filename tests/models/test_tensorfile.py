from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.tensorfile import read_tensors, write_tensors


def test_gives_tensors_in_the_order_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_tensors(path, "thing 1", {"a": torch.arange(3), "b": torch.ones(2, 2)})
    b, a = read_tensors(path, "thing 1", "b", "a")
    assert torch.equal(a, torch.arange(3))
    assert torch.equal(b, torch.ones(2, 2))


@pytest.mark.parametrize("mask", [0o022, 0o027])
def test_whoever_may_read_a_new_file_may_read_it(tmp_path: Path, mask: int) -> None:
    """A model converted by an administrator is served by somebody else."""
    before = os.umask(mask)
    try:
        write_tensors(tmp_path / "file", "thing 1", {"a": torch.zeros(1)})
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("names", [("a",), ("a", "b", "c"), ("a", "c")])
def test_refuses_other_tensors_than_expected(tmp_path: Path, names: tuple[str, ...]) -> None:
    path = tmp_path / "file"
    write_tensors(path, "thing 1", {"a": torch.zeros(1), "b": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"file holds \['a', 'b'\]"):
        read_tensors(path, "thing 1", *names)


def test_refuses_files_of_unknown_origin(tmp_path: Path) -> None:
    path = tmp_path / "file"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="holds something else, not thing 1"):
        read_tensors(path, "thing 1", "a")
