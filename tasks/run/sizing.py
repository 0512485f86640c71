"""How many workers of which kind suit the machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from models.runtime.device import pick_device
from tasks.pool import Role, cluster_nodes
from tasks.steps.context import WorkerConfig
from tasks.steps.workers import PreprocessWorker, RenderWorker

__all__ = ["PREPROCESS", "RENDER", "cluster_roles", "worker_roles"]

PREPROCESS, RENDER = "prepare", "perform"
CORES_PER_PERFORMER = 4
"""Without a GPU: more threads than that gain little for one clip, more clips at once gain more."""
CORES_PER_PREPARER = 4
AHEAD = 8
"""Preparation pauses while so many works a performer are ready: further ahead, it would only take cores from them."""


@dataclass(frozen=True)
class Machine:
    """What is shared out.

    Attributes:
        cores: of the processor that this process may use.
        gpus: that torch sees.
    """

    cores: int
    gpus: int

    @property
    def performers(self) -> int:
        """One a GPU, or one for every four cores."""
        return self.gpus or max(1, self.cores // CORES_PER_PERFORMER)

    @property
    def preparers(self) -> int:
        """They work ahead, beside the performers."""
        return max(1, self.cores // CORES_PER_PREPARER)


def this_machine(device: str) -> Machine:
    """The machine this runs on, its GPUs only if they are wanted."""
    gpus = 0
    if pick_device(device).type == "cuda":
        import torch

        gpus = 1 if ":" in device else torch.cuda.device_count()
    return Machine(cores=len(os.sched_getaffinity(0)), gpus=gpus)


def cluster_roles(setup: WorkerConfig, address: str, workers: int | None = None) -> list[Role]:
    """The roles for a Ray cluster: as many workers as each machine could have alone, of the size that fits all.

    Args:
        address: of the cluster.
        workers: performers, instead of as many as the cluster has room for now: one that grows may get more.

    Raises:
        TroupeError: the cluster cannot be reached.
    """
    wants_gpu = setup.device.startswith("cuda")
    nodes = [Machine(int(node.cpus), int(node.gpus)) for node in cluster_nodes(address) if node.cpus >= 1]
    gpus = sum(node.gpus for node in nodes)
    on_gpus = setup.device != "cpu" and (gpus > 0 or wants_gpu)
    if on_gpus:
        nodes = [node for node in nodes if node.gpus] or [Machine(CORES_PER_PERFORMER, 1)]
    else:
        nodes = [Machine(node.cores, 0) for node in nodes] or [Machine(CORES_PER_PERFORMER, 0)]
    performers = workers or sum(node.performers for node in nodes)
    # A core a performer's share remains for preparation, which Ray is told of, too: it shares out by these numbers.
    cores = max(1, min(node.cores // node.performers for node in nodes) - 1)
    return [
        Role(
            PREPROCESS,
            PreprocessWorker,
            (setup,),
            workers=max(1, round(performers * sum(n.preparers for n in nodes) / sum(n.performers for n in nodes))),
            cpus=1.0,
            backpressure_limit=AHEAD * performers,
        ),
        Role(
            RENDER,
            RenderWorker,
            (setup,),
            workers=performers,
            cpus=1.0 if on_gpus else float(cores),
            gpus=1.0 if on_gpus else 0.0,
            threads=cores,
        ),
    ]


def worker_roles(
    setup: WorkerConfig,
    machine: Machine | None = None,
    stopped: Callable[[], bool] | None = None,
    workers: int | None = None,
) -> list[Role]:
    """One performer a GPU, or one for every four cores; preparers, which work ahead, by cores as well.

    Args:
        machine: what is shared out; this one by default.
        workers: performers, instead of as many; no more than there are GPUs, where there are any.
        stopped: for workers in this process, which cannot be killed, as `RenderWorker` takes it.

    Raises:
        SettingsError: the device asked for is not there.
    """
    machine = machine or this_machine(setup.device)
    performers = min(workers, machine.gpus or workers) if workers else machine.performers
    threads = max(1, machine.cores // performers)
    return [
        Role(
            PREPROCESS,
            PreprocessWorker,
            (setup,),
            workers=machine.preparers,
            cpus=0.0,
            threads=min(2, threads),
            backpressure_limit=AHEAD * performers,
        ),
        Role(
            RENDER,
            RenderWorker,
            (setup, stopped) if stopped else (setup,),
            workers=performers,
            cpus=1.0,
            gpus=min(machine.gpus, 1),
            threads=threads,
        ),
    ]
