"""Versioned tensor files, in which encoded portraits and clips are stored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

__all__ = ["read_tensors", "write_safetensors", "write_tensors"]


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write contiguous `tensors` as safetensors, with the permissions of any new file.

    The library alone makes the file readable for its owner only, and a model is often served by another user.
    """
    path.touch()
    mode = path.stat().st_mode
    save_file(dict(tensors), path, metadata)
    path.chmod(mode)


def write_tensors(path: Path, version: str, tensors: Mapping[str, Tensor]) -> None:
    """Write `tensors` as safetensors. The same values give the same bytes, whatever device or view they came from.

    Args:
        version: kind and layout of the file, stored in its metadata.
    """
    plain = {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}
    # One entry only: safetensors does not fix the order of several, and with it the file's bytes.
    write_safetensors(path, plain, {"version": version})


def read_tensors(path: Path, version: str, *names: str) -> list[Tensor]:
    """Read the named tensors, onto the CPU, from a file of exactly this version and without other tensors.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is damaged or has a different version.
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
