"""Data loading: the examples of a training, each determined by its number."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing import resource_tracker, util

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.training import Objective
from tasks.train.config import PartConfig
from troupe.process.signals import SIGNALS

__all__ = ["Share", "batches", "first_example"]


@dataclass(frozen=True)
class Share:
    """A worker's share of every batch: the `rank`-th of `workers` equal, contiguous parts."""

    rank: int = 0
    workers: int = 1


class _Examples(Dataset[dict[str, Tensor]]):
    """Example n follows from the seed, the part's name and n."""

    def __init__(self, objective: Objective, config: PartConfig) -> None:
        self._objective = objective
        self._key = (config.seed, *config.part.encode())

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        return self._objective.example(np.random.default_rng((number, *self._key)))


def first_example(objective: Objective, config: PartConfig) -> dict[str, Tensor]:
    """Example 0."""
    return _Examples(objective, config)[0]


def batches(objective: Objective, config: PartConfig, first: int, share: Share) -> Iterator[dict[str, Tensor]]:
    """Iterate over a worker's micro-batches, `config.accumulate` per step.

    Args:
        first: first step, counted from 0.
    """
    size = config.batch // share.workers // config.accumulate
    numbers = [
        list(range(start, start + size))
        for step in range(first, config.steps)
        for micro in range(config.accumulate)
        for start in [step * config.batch + (share.rank * config.accumulate + micro) * size]
    ]
    loader = DataLoader(
        _Examples(objective, config),
        batch_sampler=numbers,
        num_workers=config.loaders,
        # A loader forked from a process with threads may hang; a spawned one inherits none.
        multiprocessing_context="spawn" if config.loaders else None,
        prefetch_factor=4 if config.loaders else None,
        worker_init_fn=_start_loader,
        generator=torch.Generator(),  # leaves torch's global generator unchanged
    )
    with _signals_blocked() if config.loaders else nullcontext():
        return iter(loader)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block the stop signals in processes started in the `with` block.

    The training ends its loaders itself: a loader killed earlier by a signal would raise an error within a step.
    """
    resource_tracker.ensure_running()  # its start would unblock them
    util.get_temp_dir()  # which the processes share: this one removes it at its exit, a loader that is killed would not
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_loader(_: int) -> None:
    """Detach a loader from the process group, discard pending signals, and use one thread."""
    os.setsid()
    while signal.sigtimedwait(SIGNALS, 0):
        pass
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    torch.set_num_threads(1)
    import cv2

    cv2.setNumThreads(1)
