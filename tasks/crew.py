"""How many workers of which kind suit the machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from models.device import pick_device
from tasks.pool import Role
from tasks.tools import Setup
from tasks.workers import Performer, Preparer

__all__ = ["PERFORM", "PREPARE", "crew"]

PREPARE, PERFORM = "prepare", "perform"
CORES_PER_PERFORMER = 4
"""Without a GPU: more threads than that gain little for one clip, more clips at once gain more."""
CORES_PER_PREPARER = 4


@dataclass(frozen=True)
class Machine:
    """What is shared out.

    Attributes:
        cores: of the processor that this process may use.
        gpus: that torch sees.
    """

    cores: int
    gpus: int


def this_machine(device: str) -> Machine:
    """The machine this runs on, its GPUs only if they are wanted."""
    gpus = 0
    if pick_device(device).type == "cuda":
        import torch

        gpus = 1 if ":" in device else torch.cuda.device_count()
    return Machine(cores=len(os.sched_getaffinity(0)), gpus=gpus)


def crew(setup: Setup, machine: Machine | None = None, stopped: Callable[[], bool] | None = None) -> list[Role]:
    """One performer a GPU, or one for every four cores; preparers, which work ahead, by cores as well.

    Args:
        machine: what is shared out; this one by default.
        stopped: for workers in this process, which cannot be killed, as `Performer` takes it.

    Raises:
        SettingsError: the device asked for is not there.
    """
    machine = machine or this_machine(setup.device)
    performers = machine.gpus or max(1, machine.cores // CORES_PER_PERFORMER)
    preparers = max(1, machine.cores // CORES_PER_PREPARER)
    threads = max(1, machine.cores // performers)
    return [
        Role(PREPARE, Preparer, (setup,), workers=preparers, cpus=0.0, threads=min(2, threads)),
        Role(
            PERFORM,
            Performer,
            (setup, stopped) if stopped else (setup,),
            workers=performers,
            cpus=1.0,
            gpus=min(machine.gpus, 1),
            threads=threads,
        ),
    ]
