"""The workers of one role, and which of the works before them goes to whom.

An idle worker gets, of what could begin: what takes longer than everybody's share of all that is left, for that
would be waited for in the end; else the longest of what it holds already; else the longest that no worker holds;
else the longest of all, which another worker holds but is too busy to begin. A busy worker is sent one work ahead,
so that it need not wait for messages to travel; but only while enough waits to keep everybody busy for longer than
that worker will be, so that nothing queues behind a long work while somebody is idle.

What may harm its neighbours lies in the ward: it goes to a worker that has nothing else, which then gets nothing
else until it is done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tasks.pool.messages import Command, Finish, Kill, Send, Start
from tasks.pool.priority_queue import PriorityQueue
from tasks.pool.work_item import Role, WorkItem
from troupe.errors import TroupeError

__all__ = ["QueuedItem", "RoleQueue", "Worker"]

_HELD = 8
"""So many things, the latest, a worker is taken to hold: what it keeps at hand is bounded too."""


@dataclass(eq=False, slots=True)
class QueuedItem:
    """A work that has not ended.

    Attributes:
        order: how many works were submitted before it.
        open_needs: works that must be done before it can begin.
        dependants: what needs it.
        worker: that has it now.
        sent: how often a worker was given it.
        deaths: workers that died, or had to be ended, while they had it.
        began: when its worker came to it, as far as is known; None before.
        store_errors: how often it met a StoreError.
        wants_fresh: it ran out of memory and must begin on a worker that did nothing yet.
    """

    work: WorkItem
    order: int
    open_needs: int = 0
    dependants: list[QueuedItem] = field(default_factory=list)
    worker: Worker | None = None
    sent: int = 0
    deaths: int = 0
    began: float | None = None
    store_errors: int = 0
    wants_fresh: bool = False

    @property
    def alone(self) -> bool:
        """Whether it may harm what is beside it."""
        return self.deaths > 0 or self.wants_fresh


@dataclass(eq=False, slots=True)
class Worker:
    """A worker that was ordered and is not known to be gone.

    Attributes:
        id: its number.
        up: its constructor has returned.
        used: it was given work.
        flight: what it has, the running first.
        holds: what it holds, the latest last.
    """

    id: int
    up: bool = False
    used: bool = False
    flight: list[QueuedItem] = field(default_factory=list)
    holds: list[str] = field(default_factory=list)


class RoleQueue:
    """The workers of one role and what waits for them.

    Args:
        role: theirs.
        ahead: how many works a worker may have beyond the one it runs, 0 or 1.
        numbers: gives every worker its number.
        orders: where orders are appended, in the order in which they are to be carried out.

    Attributes:
        workers: those that exist, by number.
        error: why there can be no workers; None if there can.
        failed_starts: workers in a row that did not come up.
        not_before: no worker is started before this time.
    """

    def __init__(self, role: Role, ahead: int, numbers: Iterator[int], commands: list[Command | Finish]) -> None:
        self.role = role
        self.workers: dict[int, Worker] = {}
        self.error: TroupeError | None = None
        self.failed_starts = 0
        self.not_before = 0.0
        self._ahead = ahead
        self._numbers = numbers
        self._commands = commands
        self._items: dict[str, QueuedItem] = {}
        self._backlog = PriorityQueue()
        self._ward: list[QueuedItem] = []
        self._holders: Counter[str] = Counter()
        self._left = 0.0

    @property
    def busy(self) -> bool:
        """Whether a worker has a work."""
        return any(worker.flight for worker in self.workers.values())

    @property
    def ready(self) -> int:
        """Works that could begin now."""
        return len(self._backlog) + len(self._ward)

    def held_back(self, ready_elsewhere: int) -> bool:
        """Whether so many ready items of other roles pause the workers of this one."""
        limit = self.role.backpressure_limit
        return limit is not None and ready_elsewhere >= limit

    def overdue(self, now: float) -> list[QueuedItem]:
        """What its worker has had for longer than its timeout; what a worker has come to is noted on the way."""
        late = []
        for item in self._running():
            if item.began is None:
                item.began = now
            elif item.work.timeout is not None and now - item.began >= item.work.timeout:
                late.append(item)
        return late

    def due(self) -> float | None:
        """When the next of the works that run will be overdue."""
        running = [item for item in self._running() if item.began is not None and item.work.timeout is not None]
        return min((item.began + item.work.timeout for item in running), default=None)  # type: ignore[operator]

    def admit(self, item: QueuedItem) -> None:
        """Know of an item that no worker has."""
        item.worker = item.began = None
        self._left += item.work.cost

    def queue(self, item: QueuedItem) -> None:
        """Have an item that is admitted wait for a worker."""
        if item.alone:
            self._ward.append(item)
        else:
            self._items[item.work.key] = item
            self._backlog.add(item.work, item.order)

    def land(self, item: QueuedItem) -> None:
        """Take an item back from its worker."""
        if item.worker:
            item.worker.flight.remove(item)
            self.admit(item)

    def withdraw(self, item: QueuedItem) -> None:
        """Forget an item, wherever it is."""
        self.land(item)
        self._left -= item.work.cost
        if item in self._ward:
            self._ward.remove(item)
        elif item.work.key in self._items:
            self._unqueue(item)

    def employ(self, now: float) -> None:
        """Give work to the workers there are, and order those that are missing."""
        idle = [worker for worker in self.workers.values() if worker.up and not worker.flight]
        if self._ward:
            idle = self._nurse(idle)
        unfed = []
        for worker in idle:
            if work := self._choose(worker):
                self._give(worker, self._items[work.key])
            else:
                unfed.append(worker)
        for worker in unfed:
            if work := self._backlog.longest():
                self._give(worker, self._items[work.key])
        if self._ahead and not self._ward:
            self._give_ahead()
        if now >= self.not_before:
            self.not_before = 0.0
            self._hire()

    def dismiss(self, worker: Worker) -> list[QueuedItem]:
        """Take a worker that is gone off the list; returns what it had."""
        del self.workers[worker.id]
        for hold in worker.holds:
            self._drop(hold)
        flight = worker.flight.copy()
        for item in flight:
            self.land(item)
        return flight

    def kill(self, worker: Worker) -> None:
        """End a worker that is not to blame for anything; what it had waits again."""
        self._commands.append(Kill(worker.id))
        for item in self.dismiss(worker):
            self.queue(item)

    def _running(self) -> Iterator[QueuedItem]:
        return (worker.flight[0] for worker in self.workers.values() if worker.flight)

    def _choose(self, worker: Worker) -> WorkItem | None:
        longest = self._backlog.longest()
        if longest is None or longest.cost > self._left / self.role.workers:
            return longest
        return self._backlog.held(reversed(worker.holds)) or self._backlog.free(self._holders.__contains__)

    def _give_ahead(self) -> None:
        for worker in self.workers.values():
            share = self._backlog.cost / self.role.workers
            if len(worker.flight) != 1 or worker.flight[0].alone or worker.flight[0].work.cost > share:
                continue
            work = self._choose(worker)
            if work and worker.flight[0].work.cost + work.cost <= share:
                self._give(worker, self._items[work.key])

    def _nurse(self, idle: list[Worker]) -> list[Worker]:
        """Give idle workers what lies in the ward; returns those that are left."""
        left = []
        vacancies = self.role.workers - len(self.workers)
        fresh = vacancies + sum(not worker.used for worker in self.workers.values())
        for worker in idle:
            fitting = [item for item in self._ward if not (item.wants_fresh and worker.used)]
            if fitting:
                # A fresh worker is for what needs one.
                item = max(fitting, key=lambda item: item.wants_fresh) if not worker.used else fitting[0]
                fresh -= not worker.used
                self._ward.remove(item)
                self._give(worker, item)
            elif fresh < len(self._ward):
                # Everything left needs a fresh worker and there will be too few: this one makes room.
                self.kill(worker)
                fresh += 1
            else:
                left.append(worker)
        return left

    def _hire(self) -> None:
        coming = sum(not worker.up for worker in self.workers.values())
        for _ in range(min(self.ready - coming, self.role.workers - len(self.workers))):
            worker = Worker(next(self._numbers))
            self.workers[worker.id] = worker
            self._commands.append(Start(worker.id, self.role))

    def _give(self, worker: Worker, item: QueuedItem) -> None:
        if item.work.key in self._items:
            self._unqueue(item)
        self._hold(worker, item.work.affinity_key)
        worker.used = True
        worker.flight.append(item)
        item.worker = worker
        item.sent += 1
        self._left -= item.work.cost
        self._commands.append(Send(worker.id, item.work))

    def _hold(self, worker: Worker, hold: str) -> None:
        if not hold:
            return
        if hold in worker.holds:
            worker.holds.remove(hold)
        else:
            self._holders[hold] += 1
        worker.holds.append(hold)
        if len(worker.holds) > _HELD:
            self._drop(worker.holds.pop(0))

    def _drop(self, hold: str) -> None:
        self._holders[hold] -= 1
        if not self._holders[hold]:
            del self._holders[hold]
            self._backlog.release(hold)

    def _unqueue(self, item: QueuedItem) -> None:
        del self._items[item.work.key]
        self._backlog.remove(item.work.key)
