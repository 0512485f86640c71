"""bench.support.machine."""

from __future__ import annotations

import torch

from bench.support.machine import describe, isolated, matrix_rate, peak_memory, resident

BLOCK = 200 * 2**20


def fill_and_free() -> tuple[int, int, int]:
    before = resident()
    peak = peak_memory()
    block = bytearray(BLOCK)
    block[::4096] = b"1" * len(block[::4096])
    del block
    return before, peak, peak_memory()


def test_peak_memory_is_per_process_and_never_falls() -> None:
    mine = bytearray(b"1") * BLOCK  # must not count in the other process
    before, peak, after = isolated(fill_and_free)
    assert before <= peak < resident()
    assert 0.95 * BLOCK < after - before < 1.25 * BLOCK  # the kernel counts pages in batches
    assert len(mine) == BLOCK


def test_description() -> None:
    machine = describe()
    assert machine["cpu"]
    assert machine["torch"] == torch.__version__
    assert isinstance(machine["memory_bytes"], int)
    assert machine["memory_bytes"] > 2**28


def test_matrix_rate_counts_products_and_sums() -> None:
    assert matrix_rate(torch.device("cpu"), torch.float32) > 1e8
