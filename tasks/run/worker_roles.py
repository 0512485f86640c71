"""The roles of a run's workers, and how many of each suit a machine or a cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tasks.pool import Role, cluster_nodes
from tasks.steps.context import WorkerConfig
from tasks.steps.workers import PreprocessWorker, RenderWorker

__all__ = ["PREPROCESS", "RENDER", "cluster_roles", "worker_roles"]

PREPROCESS, RENDER = "preprocess", "render"
CORES_PER_RENDER_WORKER = 4
"""Without a GPU: more threads gain little for one clip, more clips at once gain more."""
CORES_PER_PREPROCESS_WORKER = 4
_GPU_DEVICE_FILES = ("nvidia*", "kfd", "dxg")
"""Of NVIDIA's driver, AMD's, and either on Windows' Linux."""
ITEMS_PER_GPU = 4
"""Number of items that a render worker with a GPU runs at once: one is denoised, two are finished, one is prepared.
With three, two cores leave a GPU of 60 frames per second idle more than a quarter of the time (`bench.pipeline`).
Without a GPU, all of them would compete for the same cores."""
READY_PER_RENDER_WORKER = 8
"""Number of ready items per render worker at which preprocessing pauses; more would only take cores from rendering."""


@dataclass(frozen=True)
class Machine:
    """Resources of a machine.

    Attributes:
        cores: number of processor cores that this process may use.
        gpus: number of GPUs that torch sees.
    """

    cores: int
    gpus: int

    @property
    def render_workers(self) -> int:
        """One per GPU, or one per four cores."""
        return self.gpus or max(1, self.cores // CORES_PER_RENDER_WORKER)

    @property
    def preprocess_workers(self) -> int:
        """One per four cores; they work ahead, beside the render workers."""
        return max(1, self.cores // CORES_PER_PREPROCESS_WORKER)


def this_machine(device: str) -> Machine:
    """Return this machine, with its GPUs only if the device wants them."""
    gpus = 0
    if device != "cpu" and (device != "auto" or _may_have_gpu()):
        import torch

        from models.runtime.device import pick_device

        if pick_device(device).type == "cuda":
            gpus = 1 if ":" in device else torch.cuda.device_count()
    return Machine(cores=len(os.sched_getaffinity(0)), gpus=gpus)


def _may_have_gpu() -> bool:
    """Whether it is worth a second to import torch and ask: on Linux, a GPU's driver has a device file."""
    return sys.platform != "linux" or any(any(Path("/dev").glob(name)) for name in _GPU_DEVICE_FILES)


def cluster_roles(config: WorkerConfig, address: str, workers: int | None = None) -> list[Role]:
    """Return the roles for a Ray cluster: as many workers as each machine could have alone, of a size that fits all.

    Args:
        address: address of the cluster.
        workers: number of render workers; by default as many as the cluster has room for now. One that grows may get
            more.

    Raises:
        TroupeError: the cluster cannot be reached.
    """
    wants_gpu = config.device.startswith("cuda")
    nodes = [Machine(int(node.cpus), int(node.gpus)) for node in cluster_nodes(address) if node.cpus >= 1]
    gpus = sum(node.gpus for node in nodes)
    on_gpus = config.device != "cpu" and (gpus > 0 or wants_gpu)
    if on_gpus:
        nodes = [node for node in nodes if node.gpus] or [Machine(CORES_PER_RENDER_WORKER, 1)]
    else:
        nodes = [Machine(node.cores, 0) for node in nodes] or [Machine(CORES_PER_RENDER_WORKER, 0)]
    total = sum(node.render_workers for node in nodes)
    render_workers = workers or total
    # One core of each render worker's share remains for preprocessing: Ray schedules by these numbers.
    cores = max(1, min(node.cores // node.render_workers for node in nodes) - 1)
    return [
        Role(
            PREPROCESS,
            PreprocessWorker,
            (config,),
            workers=max(1, round(render_workers * sum(node.preprocess_workers for node in nodes) / total)),
            cpus=1.0,
            backpressure_limit=READY_PER_RENDER_WORKER * render_workers,
        ),
        Role(
            RENDER,
            RenderWorker,
            (config,),
            workers=render_workers,
            concurrency=ITEMS_PER_GPU if on_gpus else 1,
            cpus=1.0 if on_gpus else float(cores),
            gpus=1.0 if on_gpus else 0.0,
            threads=cores,
        ),
    ]


def worker_roles(
    config: WorkerConfig,
    machine: Machine | None = None,
    stopped: Callable[[], bool] | None = None,
    workers: int | None = None,
) -> list[Role]:
    """Return the roles for one machine.

    Args:
        machine: resources to use; those of this machine by default.
        stopped: see `RenderWorker`; only for workers in this process.
        workers: number of render workers, at most one per GPU where there are any; by default one per GPU, or one per
            four cores.

    Raises:
        SettingsError: the machine does not have the device.
    """
    machine = machine or this_machine(config.device)
    render_workers = min(workers, machine.gpus or workers) if workers else machine.render_workers
    threads = max(1, machine.cores // render_workers)
    return [
        Role(
            PREPROCESS,
            PreprocessWorker,
            (config,),
            workers=machine.preprocess_workers,
            cpus=0.0,
            threads=min(2, threads),
            backpressure_limit=READY_PER_RENDER_WORKER * render_workers,
        ),
        Role(
            RENDER,
            RenderWorker,
            (config, stopped) if stopped else (config,),
            workers=render_workers,
            concurrency=ITEMS_PER_GPU if machine.gpus else 1,
            cpus=1.0,
            gpus=min(machine.gpus, 1),
            threads=threads,
        ),
    ]
