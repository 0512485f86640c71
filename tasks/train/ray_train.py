"""A training shared by several processes, which Ray Train starts, on this machine or a cluster."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.training import Objective
from tasks.pool.ray_pool import before_import
from tasks.train import curves
from tasks.train.config import PartConfig
from tasks.train.loop import CURVE, OnStep, train
from troupe.errors import Cancelled, TroupeError, WorkerLost

__all__ = ["train_distributed"]

LOOK_EVERY = 0.5
"""Seconds between two looks at what the workers wrote."""


def train_distributed(
    objective: Objective,
    config: PartConfig,
    weights: Path,
    folder: Path,
    stop: Callable[[], bool],
    on_step: OnStep,
    device: str,
    workers: int,
    address: str | None,
) -> None:
    """As `tasks.train.loop.train`, by several workers, each with an equal share of every batch.

    Args:
        weights, folder: seen by every worker.
        workers: how many; each has a GPU of its own where there are some.
        address: of a Ray cluster that this machine is part of; None starts a Ray for this training.

    Raises:
        WorkerLost: a worker died; the next training goes on from the last checkpoint.
    """
    config.check_share(workers)
    before_import(address)
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    weights, folder = weights.absolute(), folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    asked, outcome = folder / "stop", folder / "outcome"
    for path in (asked, outcome):
        path.unlink(missing_ok=True)

    def work() -> None:
        # An error that is ours is told by a file: Ray Train's would hold it as text, with a trace.
        try:
            train(objective, config, weights, folder, asked.exists, device=device)
        except Cancelled as error:
            outcome.write_text(f"cancelled {error}")
        except TroupeError as error:
            outcome.write_text(f"failed {error}")

    with _ray(address, workers), _told(folder, stop, asked, on_step):
        gpus = device != "cpu" and bool(_resources().get("GPU"))
        trainer: Any = TorchTrainer(
            work,
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus),
            run_config=RunConfig(name="ray", storage_path=str(folder)),
        )
        try:
            # Called in the main thread, it would take Ctrl-C for itself, and end this process.
            with ThreadPoolExecutor(1, "ray-train") as thread:
                thread.submit(trainer.fit).result()
        except Exception as error:  # Ray Train has errors of several bases
            raise WorkerLost(f"training of {config.part} ended: {error}; the same command goes on") from error
        finally:
            asked.unlink(missing_ok=True)
    if outcome.exists():
        kind, _, message = outcome.read_text().partition(" ")
        outcome.unlink()
        raise Cancelled(message) if kind == "cancelled" else TroupeError(message)


def _resources() -> dict[str, float]:
    import ray

    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return found


@contextmanager
def _ray(address: str | None, workers: int) -> Iterator[None]:
    import ray

    from tasks.pool.ray_transport import sessions_of_their_own

    if ray.is_initialized():
        yield
        return
    start: dict[str, Any] = {"address": address}
    if address is None:
        start = {"address": "local", "num_cpus": max(workers, os.cpu_count() or 1), "include_dashboard": False}
    with sessions_of_their_own():
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **start)
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _told(folder: Path, stop: Callable[[], bool], asked: Path, on_step: OnStep) -> Iterator[None]:
    """While it goes on: tell the caller of steps, and the workers to stop."""
    done = threading.Event()

    def look() -> None:
        last = 0
        while not done.wait(LOOK_EVERY):
            if stop():
                asked.touch()
            lines = curves.read(folder / CURVE)
            if lines and lines[-1]["step"] > last:
                last = lines[-1]["step"]
                on_step(last, lines[-1])

    watcher = threading.Thread(target=look, name="training-watcher", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
