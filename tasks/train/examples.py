"""The examples of a training, by their number."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing import resource_tracker

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.training import Objective
from tasks.train.config import PartConfig
from troupe.signals import SIGNALS

__all__ = ["Share", "batches", "first_example"]


@dataclass(frozen=True)
class Share:
    """Which of every batch's examples belong to a worker: the `rank`-th of `workers` equal runs."""

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
    """A worker's micro-batches, `config.accumulate` a step, from a step on to the last.

    Args:
        first: the step to begin with, from 0.
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
        # Forked from a process with threads, a loader may hang; started anew it knows nothing of them.
        multiprocessing_context="spawn" if config.loaders else None,
        prefetch_factor=4 if config.loaders else None,
        worker_init_fn=_begin,
        generator=torch.Generator(),  # its own: torch's is the caller's
    )
    with _signals_blocked() if config.loaders else nullcontext():
        return iter(loader)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Processes started in the `with` block begin with these signals blocked.

    The training ends its loaders itself: one that a signal ended before would be an error in the middle of a step.
    """
    resource_tracker.ensure_running()  # its start would unblock them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(_: int) -> None:
    """In a loader: leave the process group, forget what was sent to it until now, and use one thread."""
    os.setsid()
    while signal.sigtimedwait(SIGNALS, 0):
        pass
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    torch.set_num_threads(1)
    import cv2

    cv2.setNumThreads(1)
