"""What the scheduler orders and what comes back. A worker is a number; it is never used twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from tasks.pool.work_item import Role, WorkItem
from troupe.errors import TroupeError

__all__ = [
    "Broken",
    "Command",
    "Done",
    "Event",
    "Failed",
    "Finish",
    "Kill",
    "Lost",
    "Recall",
    "Refused",
    "Send",
    "Start",
    "Up",
]


@dataclass(frozen=True, slots=True)
class Start:
    """Make a worker; answered by Up, Refused or Lost."""

    worker: int
    role: Role


@dataclass(frozen=True, slots=True)
class Send:
    """Have a worker do a work, after those sent to it before; answered by Done, Failed or Lost."""

    worker: int
    work: WorkItem


@dataclass(frozen=True, slots=True)
class Recall:
    """Do not begin a work that was sent; not answered."""

    worker: int
    key: str


@dataclass(frozen=True, slots=True)
class Kill:
    """End a worker, whatever it does; what it still answers does not count."""

    worker: int


@dataclass(frozen=True, slots=True)
class Finish:
    """A work has ended: the Future gets its result, or its error."""

    key: str
    result: Any
    error: TroupeError | None


@dataclass(frozen=True, slots=True)
class Up:
    """The worker is made and waits for work."""

    worker: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The worker's constructor raised."""

    worker: int
    error: TroupeError


@dataclass(frozen=True, slots=True)
class Done:
    """The method returned."""

    worker: int
    key: str
    result: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """The method raised."""

    worker: int
    key: str
    error: TroupeError


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker is dead, with all it had.

    Attributes:
        reason: how it died.
        with_node: because the machine it was on is gone.
        advice: what to do about it, where that is known.
    """

    worker: int
    reason: str
    with_node: bool = False
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Broken:
    """No worker can be made any more (Ray does not start)."""

    error: TroupeError


Command: TypeAlias = Start | Send | Recall | Kill
Event: TypeAlias = Up | Refused | Done | Failed | Lost | Broken
