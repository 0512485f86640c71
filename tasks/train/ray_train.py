"""Distributed training of one part, by the worker processes of Ray Train on this machine or a cluster."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.training import Objective
from tasks.pool.ray_pool import set_ray_environment
from tasks.train import curves
from tasks.train.config import PartConfig
from tasks.train.loop import CURVE, OnStep, train
from troupe.errors import Cancelled, TroupeError, WorkerLost

__all__ = ["train_distributed"]

POLL_INTERVAL = 0.5
"""Seconds between two reads of the workers' curve."""


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
    """Run `tasks.train.loop.train` on several workers, each with an equal share of every batch.

    Args:
        weights: weights directory, on storage shared by all workers.
        folder: folder of this training, on storage shared by all workers.
        workers: number of workers; each has its own GPU if Ray has any.
        address: address of a Ray cluster that this machine is part of; None starts Ray for this training.

    Raises:
        WorkerLost: a worker died; the next training resumes from the last checkpoint.
    """
    config.check_share(workers)
    set_ray_environment(address)
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    from tasks.pool.ray_runtime import RayRuntime

    weights, folder = weights.absolute(), folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    stop_file, outcome_file = folder / "stop", folder / "outcome"
    for path in (stop_file, outcome_file):
        path.unlink(missing_ok=True)

    def train_worker() -> None:
        # Our own errors are passed in a file: Ray Train would convert them to text with a traceback.
        try:
            train(objective, config, weights, folder, stop_file.exists, device=device)
        except Cancelled as error:
            outcome_file.write_text(f"cancelled {error}")
        except TroupeError as error:
            outcome_file.write_text(f"failed {error}")

    with RayRuntime(address, cpus=workers, gpus=device != "cpu"), _watched(folder, stop, stop_file, on_step):
        gpus = device != "cpu" and bool(_resources().get("GPU"))
        trainer: Any = TorchTrainer(
            train_worker,
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus),
            run_config=RunConfig(name="ray", storage_path=str(folder)),
        )
        try:
            # In the main thread it would handle Ctrl-C itself and end this process.
            with ThreadPoolExecutor(1, "ray-train") as thread:
                thread.submit(trainer.fit).result()
        except Exception as error:  # Ray Train's errors have no common base class
            raise WorkerLost(f"training of {config.part} failed: {error}; run the same command to resume") from error
        finally:
            stop_file.unlink(missing_ok=True)
    if outcome_file.exists():
        kind, _, message = outcome_file.read_text().partition(" ")
        outcome_file.unlink()
        raise Cancelled(message) if kind == "cancelled" else TroupeError(message)


def _resources() -> dict[str, float]:
    import ray

    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return found


@contextmanager
def _watched(folder: Path, stop: Callable[[], bool], stop_file: Path, on_step: OnStep) -> Iterator[None]:
    """Report new steps to the caller, and pass a stop on to the workers, while the training runs."""
    done = threading.Event()

    def watch() -> None:
        last = 0
        while not done.wait(POLL_INTERVAL):
            if stop():
                stop_file.touch()
            lines = curves.read(folder / CURVE)
            if lines and lines[-1]["step"] > last:
                last = lines[-1]["step"]
                on_step(last, lines[-1])

    watcher = threading.Thread(target=watch, name="training-watcher", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
