"""Number types, devices and memory budgets that are chosen for a machine."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from models.runtime.device import GIB, Budget, gpu_budget, memory_budget, pick_device, pick_dtype
from troupe.errors import SettingsError

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("has", "dtype"),
    [
        ({"amx_bf16": True, "avx512_bf16": False}, torch.bfloat16),
        ({"amx_bf16": False, "avx512_bf16": True}, torch.bfloat16),
        ({"avx2": True, "avx512_bf16": False}, torch.float32),
        ({"neon": True}, torch.float32),
    ],
)
def test_a_cpu_computes_in_bfloat16_if_supported(
    monkeypatch: pytest.MonkeyPatch, has: dict[str, bool], dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert pick_dtype("auto", CPU) is dtype
    assert pick_dtype("float32", CPU) is torch.float32


@pytest.mark.parametrize("name", ["float16", "float64", "fast"])
def test_unsuitable_types_on_a_cpu_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="auto"):
        pick_dtype(name, CPU)


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta"])
def test_missing_devices_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="cuda"):
        pick_device(name)


def test_networks_are_offloaded_on_small_gpus_only() -> None:
    assert gpu_budget(12 * GIB).offload
    assert not gpu_budget(24 * GIB).offload
    assert gpu_budget(24 * GIB).activations > gpu_budget(12 * GIB).activations


def test_a_cpu_is_shared_and_its_budget_small() -> None:
    assert memory_budget(CPU) == Budget(motion=64 * 2**20, activations=192 * 2**20)


@pytest.mark.parametrize("start", [gpu_budget(80 * GIB), gpu_budget(8 * GIB), memory_budget(CPU)])
def test_a_budget_shrinks_to_its_minimum(start: Budget) -> None:
    least, budgets = 2**20, [start]
    while (shrunk := budgets[-1].shrunk(least)) is not None:
        budgets.append(shrunk)
    assert len(budgets) == len(set(budgets))
    assert budgets[-1].activations <= least
    assert budgets[-1].motion == 0
    assert budgets[-1].offload
    for more, less in pairwise(budgets):
        assert less.activations <= more.activations
        assert less.motion <= more.motion
        assert less.offload >= more.offload
