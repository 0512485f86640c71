"""What a pool is asked to do, by whom, and what it counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Role", "Stats", "WorkItem"]


@dataclass(frozen=True)
class WorkItem:
    """One call of a worker's method. What it takes and gives is small: URIs and keys, never frames.

    Attributes:
        key: its name; submitted twice, it is done once.
        role: the workers that can do it.
        method: of the worker's class; called by name, so that a subclass or a stand-in may have its own.
    args: arguments of the method.
        needs: keys, submitted before, that must be done first; if one fails, so does this, with the same error.
        affinity_key: names what a worker keeps in memory after this item; items with the same key prefer that worker.
        cost: how long it takes compared with other works of its role, in any unit; the longest begins first.
        timeout: seconds after which a worker that still does it is taken for stuck, and replaced; None waits forever.

    Raises:
        ValueError: the cost is negative or not a finite number, or the timeout is not positive.
    """

    key: str
    role: str
    method: Callable[..., Any]
    args: tuple[Any, ...] = ()
    needs: tuple[str, ...] = ()
    affinity_key: str = ""
    cost: float = 1.0
    timeout: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.cost) and self.cost >= 0):
            raise ValueError(f"{self.key}: the cost is {self.cost}; it must be a finite number, 0 or more")
        if self.timeout is not None and not self.timeout > 0:
            raise ValueError(f"{self.key}: the timeout is {self.timeout}; it must be more than 0 seconds")


@dataclass(frozen=True)
class Role:
    """A kind of worker: a plain object that `factory(*args)` makes in the process where it works.

    Attributes:
        name: what works call it by.
        factory: a class or function that can be imported by name where the worker runs.
        args: small and picklable.
        workers: at most so many at once; each is started when there is work for it.
        cpus: processor cores that one worker counts for in Ray.
        gpus: GPUs, or a share of one, that one worker has; with 0 it sees none.
        backpressure_limit: number of ready work items of other roles at which workers of this role pause; None never
            pauses them. For roles that prepare the input of others.
        threads: for the arithmetic of one worker's process (OpenMP and what follows it, torch among them).

    Raises:
        ValueError: fewer than one worker or thread, a backpressure limit below one, or a negative share of the machine.
    """

    name: str
    factory: Callable[..., Any]
    args: tuple[Any, ...] = ()
    workers: int = 1
    cpus: float = 1.0
    gpus: float = 0.0
    threads: int = 1
    backpressure_limit: int | None = None

    def __post_init__(self) -> None:
        if min(self.workers, self.threads, self.backpressure_limit or 1) < 1 or self.cpus < 0 or self.gpus < 0:
            raise ValueError(
                f"role {self.name}: at least one worker and thread, a backpressure limit above 0, no negative share"
            )


@dataclass(frozen=True)
class Stats:
    """What a pool did so far.

    Attributes:
        calls: of workers' methods that were answered, with a result or an error.
        workers_started: processes (or objects, in the in-process pool).
        workers_lost: of them, those that died.
        retries: works handed out again, whatever the reason.
    """

    calls: int = 0
    workers_started: int = 0
    workers_lost: int = 0
    retries: int = 0
