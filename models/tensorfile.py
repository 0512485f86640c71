"""A few named tensors in a file that says what it is: how encoded identities and clips are kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

__all__ = ["read_tensors", "write_safetensors", "write_tensors"]


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write contiguous `tensors` as safetensors, for whoever may read a new file here: the library alone would let
    nobody but its writer read it, and whoever serves a model is often somebody else.
    """
    path.touch()
    mode = path.stat().st_mode
    save_file(dict(tensors), path, metadata)
    path.chmod(mode)


def write_tensors(path: Path, version: str, tensors: Mapping[str, Tensor]) -> None:
    """Write `tensors` as safetensors. The same values give the same bytes, whatever device or view they came from.

    Args:
        version: what the file holds and in which layout, kept in its metadata.
    """
    plain = {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}
    # One entry only: safetensors does not fix the order of several, and with it the file's bytes.
    write_safetensors(path, plain, {"version": version})


def read_tensors(path: Path, version: str, *names: str) -> list[Tensor]:
    """The tensors of these names, on the CPU, from a file of exactly this version and no other tensors.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged or of another version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            found = (file.metadata() or {}).get("version", "something else")
            if found != version:
                raise ValueError(f"{path} holds {found}, not {version}; delete it to encode again")
            present = set(file.keys())
            if present != set(names):
                raise ValueError(f"{path} holds {sorted(present)}, not {sorted(names)}; delete it to encode again")
            return [file.get_tensor(name) for name in names]
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}); delete it to encode again") from error
