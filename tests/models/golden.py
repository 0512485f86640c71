"""The golden files: outputs of the released implementation for weights and inputs made from their names.

`GOLDEN_DIR` names the directory (default `tests/golden`); its README says how weights and inputs are made.
Sizes, settings and the salt come from its `cases.json`: nothing here or in the tests assumes their values.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

DIRECTORY = Path(os.environ.get("GOLDEN_DIR") or Path(__file__).parent.parent / "golden")
TOLERANCE = 1e-4


@cache
def cases() -> dict[str, Any]:
    """Return sizes, sampler settings and the salt."""
    return dict(json.loads(need("cases.json").read_text()))


@cache
def shapes(module: str) -> dict[str, tuple[int, ...]]:
    """Return the tensor names and shapes of an entry of state_dicts.json."""
    everything = json.loads(need("state_dicts.json").read_text())
    if module not in everything:
        pytest.skip(f"{DIRECTORY / 'state_dicts.json'} has no {module}")
    return {name: tuple(shape) for name, shape in everything[module].items()}


def need(name: str) -> Path:
    """Return a file of the golden directory; skip the test if it does not exist."""
    path = DIRECTORY / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path


def outputs(name: str) -> dict[str, Tensor]:
    """Return the tensors of a golden file."""
    return load_file(need(name))


def noise(name: str, shape: Sequence[int]) -> Tensor:
    """Return normally distributed values, seeded by the salted name."""
    seed = zlib.crc32((cases()["salt"] + name).encode())
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))


def weights(named: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Return values for tensors by name and shape (integer tensors are the `num_batches_tracked` of batch norms)."""
    return {name: _value(name, tuple(shape)) for name, shape in named.items()}


def _value(name: str, shape: tuple[int, ...]) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    x = noise(name, shape)
    if name.endswith("running_var"):
        return x.abs_().mul_(0.1).add_(1)
    if len(shape) <= 1:
        return x.mul_(0.1).add_(1) if name.endswith(("weight", "gamma")) else x.mul_(0.1)
    if len(shape) == 3:
        return x.mul_(0.02)
    return x.div_(x[0].numel() ** 0.5)  # in place: the largest network has gigabytes


def shapes_of(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of a module's state, to compare with `shapes`."""
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def assert_close(actual: Tensor, expected: Tensor) -> None:
    """Check that shapes are equal and ||a - b|| / ||b|| <= 1e-4 in float32."""
    assert actual.shape == expected.shape, f"{tuple(actual.shape)} is not {tuple(expected.shape)}"
    error = torch.linalg.vector_norm(actual.double() - expected.double())
    scale = torch.linalg.vector_norm(expected.double())
    assert error <= TOLERANCE * scale, f"relative error {float(error / scale):.2e}"
