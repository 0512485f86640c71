"""Commands of the scheduler to the transport, and the events that come back.

A worker is identified by a number that is never reused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from tasks.pool.work_item import Role, WorkItem
from troupe.errors import TroupeError

__all__ = [
    "Command",
    "Event",
    "ItemDone",
    "ItemFailed",
    "KillWorker",
    "NoWorkers",
    "RecallItem",
    "ResolveItem",
    "SendItem",
    "StartFailed",
    "StartWorker",
    "WorkerDied",
    "WorkerStarted",
]


@dataclass(frozen=True, slots=True)
class StartWorker:
    """Start a worker; answered by WorkerStarted, StartFailed or WorkerDied."""

    worker: int
    role: Role


@dataclass(frozen=True, slots=True)
class SendItem:
    """Send an item to a worker, which runs it when it may; answered by ItemDone, ItemFailed or WorkerDied.

    A worker runs as many items at once as its role says, the oldest first.
    """

    worker: int
    item: WorkItem


@dataclass(frozen=True, slots=True)
class RecallItem:
    """Do not start an item that was sent; not answered."""

    worker: int
    key: str


@dataclass(frozen=True, slots=True)
class KillWorker:
    """Kill a worker, whatever it is running; its later events are ignored."""

    worker: int


@dataclass(frozen=True, slots=True)
class ResolveItem:
    """Resolve an item's Future with its result or error. For the pool, not the transport."""

    key: str
    result: Any
    error: TroupeError | None


@dataclass(frozen=True, slots=True)
class WorkerStarted:
    """The worker is constructed and waits for items."""

    worker: int


@dataclass(frozen=True, slots=True)
class StartFailed:
    """The worker's constructor raised an error."""

    worker: int
    error: TroupeError


@dataclass(frozen=True, slots=True)
class ItemDone:
    """The method returned."""

    worker: int
    key: str
    result: Any


@dataclass(frozen=True, slots=True)
class ItemFailed:
    """The method raised an error."""

    worker: int
    key: str
    error: TroupeError


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """The worker died, and the items sent to it with it.

    Attributes:
        reason: cause of death.
        with_node: whether it died because its node was lost.
        advice: what the user can do about it, where that is known.
    """

    worker: int
    reason: str
    with_node: bool = False
    advice: str = ""


@dataclass(frozen=True, slots=True)
class NoWorkers:
    """No worker can be started any more, for example because Ray does not start."""

    error: TroupeError


Command: TypeAlias = StartWorker | SendItem | RecallItem | KillWorker
Event: TypeAlias = WorkerStarted | StartFailed | ItemDone | ItemFailed | WorkerDied | NoWorkers
