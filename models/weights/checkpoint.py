"""Tensor files of a weights directory: reading `.pth` and `.safetensors`, converting, replacing values."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from models.tensorfile import write_safetensors
from models.weights.layout import PARTS, existing_part_file, find_part
from troupe.errors import WeightsError
from troupe.files import file_sha256, replacing

__all__ = ["convert", "iter_tensors", "replace_values", "same_tensors", "source_hash"]


def iter_tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield names and tensors of a file, mapped into memory rather than read.

    Raises:
        WeightsError: the file is damaged, is not a state dict, or would have to run code to load.
    """
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 (not a mapping)
                    yield name, file.get_tensor(name)
            return
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        damaged = isinstance(error, SafetensorError | EOFError) or "PytorchStreamReader" in str(error)
        reason = "it is cut short or damaged" if damaged else (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{path.name} cannot be read as tensors: {reason}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path.name} is not a plain dictionary of tensors")
    yield from state.items()


def source_hash(path: Path) -> str | None:
    """Return the sha256 of the file that a converted file says it was made from, None for other files.

    A note of the file about itself: never a substitute for its own hash.
    """
    if path.suffix != ".safetensors":
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("source_sha256")
    except (SafetensorError, OSError):
        return None


def same_tensors(one: Path, other: Path) -> bool:
    """Return whether two files have the same tensors, by name, dtype and bits; a file that cannot be read has none.

    Raises:
        WeightsError: the first file cannot be read.
    """
    expected = dict(iter_tensors(one))
    try:
        found = dict(iter_tensors(other))
    except WeightsError:
        return False
    return expected.keys() == found.keys() and all(_same(value, found[name]) for name, value in expected.items())


def _same(one: Tensor, other: Tensor) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    raw = [value.contiguous().reshape(-1).view(torch.uint8) for value in (one, other)]
    return torch.equal(*raw)


def convert(directory: Path) -> Iterator[Path]:
    """Write a `.safetensors` file beside every `.pth` file that has none, and yield the path of each once written.

    Raises:
        WeightsError: a `.pth` file cannot be read.
    """
    for part in PARTS:
        for stem in part.stems:
            source, target = directory / f"{stem}.pth", directory / f"{stem}.safetensors"
            if not source.is_file() or target.exists():
                continue
            tensors = {name: value.contiguous().clone() for name, value in iter_tensors(source)}
            with replacing(target, sole_writer=True) as written:
                write_safetensors(written, tensors, {"source_sha256": file_sha256(source)})
            yield target


def replace_values(directory: Path, name: str, values: Mapping[str, Tensor]) -> None:
    """Replace some tensors in a network's file, keeping their dtypes there; all others stay the same to the bit.

    A converted file is replaced too, and from then on no longer counts as a copy of the original.

    Args:
        name: name of the network.
        values: new values by tensor name.

    Raises:
        WeightsError: the file does not exist, or has no tensors of these names and shapes.
    """
    path = existing_part_file(directory, find_part(name))
    state = {name: value.clone() for name, value in iter_tensors(path)}
    wrong = [name for name, value in values.items() if name not in state or state[name].shape != value.shape]
    if wrong:
        raise WeightsError(f"{path} has no such tensors", [f"{name}: absent, or of another shape" for name in wrong])
    state |= {name: value.detach().cpu().to(state[name].dtype).contiguous() for name, value in values.items()}
    # torch writes the file's name into the file: a name that never changes keeps its bytes reproducible.
    with replacing(path, sole_writer=True) as written:
        if path.suffix == ".pth":
            torch.save(state, written)
        else:
            write_safetensors(written, state)
