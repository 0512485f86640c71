"""Work items and roles: what a pool executes, and the workers that execute it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Role", "WorkItem"]


@dataclass(frozen=True)
class WorkItem:
    """One call of a worker's method. Arguments and results are small: URIs and keys, never frames.

    Attributes:
        key: unique name; an item submitted twice is executed once.
        role: name of the role whose workers execute it.
        method: method of the worker's class; called by its name, so a subclass or a stand-in may override it.
        args: arguments of the method.
        needs: keys of items, submitted before, that must be done first; if one fails, this fails with the same error.
        finishing: whether it finishes what others prepared: it goes before other items of its role, and is not held
            back by backpressure.
        affinity_key: names what a worker has in memory after this item; items of one key prefer the same worker.
        cost: duration relative to other items of the role, in any unit; the longest starts first.
        timeout: seconds after which the worker is considered stuck and is replaced; None waits forever.
        label: name of the item in messages and progress; the key if empty.

    Raises:
        ValueError: the cost is negative or not a finite number, or the timeout is not positive.
    """

    key: str
    role: str
    method: Callable[..., Any]
    args: tuple[Any, ...] = ()
    needs: tuple[str, ...] = ()
    finishing: bool = False
    affinity_key: str = ""
    cost: float = 1.0
    timeout: float | None = None
    label: str = ""

    @property
    def name(self) -> str:
        """Name of the item in messages."""
        return self.label or self.key

    def __post_init__(self) -> None:
        if not (math.isfinite(self.cost) and self.cost >= 0):
            raise ValueError(f"{self.name}: invalid cost {self.cost}; it must be a finite number, 0 or more")
        if self.timeout is not None and not self.timeout > 0:
            raise ValueError(f"{self.name}: invalid timeout {self.timeout}; it must be more than 0 seconds")


@dataclass(frozen=True)
class Role:
    """A kind of worker: a plain object that `factory(*args)` constructs in the process where it works.

    Attributes:
        name: name by which work items refer to it.
        factory: class or function that can be imported by name where the worker runs.
        args: arguments of the factory, small and picklable.
        workers: maximum number of workers; each is started when there is an item for it.
        concurrency: number of items that a worker runs at once, each on a thread of its own.
        cpus: number of CPUs that Ray reserves for a worker.
        gpus: number of GPUs, or a fraction of one, that a worker gets; with 0 it sees none.
        threads: number of threads for the arithmetic of a worker's process (OpenMP and libraries that follow its
            setting, torch among them).
        backpressure_limit: number of ready items of other roles at which workers of this role start nothing more; None
            means no limit. For roles that prepare the input of others.

    Raises:
        ValueError: the number of workers, of items at once, of threads or the backpressure limit is below one, or the
            number of CPUs or GPUs is negative.
    """

    name: str
    factory: Callable[..., Any]
    args: tuple[Any, ...] = ()
    workers: int = 1
    concurrency: int = 1
    cpus: float = 1.0
    gpus: float = 0.0
    threads: int = 1
    backpressure_limit: int | None = None

    def __post_init__(self) -> None:
        least = min(self.workers, self.concurrency, self.threads, self.backpressure_limit or 1)
        if least < 1 or self.cpus < 0 or self.gpus < 0:
            raise ValueError(
                f"role {self.name}: needs at least one worker, one item at once and one thread, a backpressure limit "
                "of at least 1 or None, and no negative number of CPUs or GPUs"
            )
