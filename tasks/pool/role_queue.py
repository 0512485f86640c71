"""The queue of a role: its workers, and which ready item goes to which of them.

An idle worker gets, of the items that are ready: an item longer than an equal share of all remaining cost, which would
otherwise be waited for at the end; else the longest of an affinity key that the worker has; else the longest whose
affinity key no worker has; else the longest of all, whose affinity key another worker has but is too busy to start it.
A busy worker is sent more items, as many as it runs at once, or one ahead so that it need not wait for messages to
travel; but only while enough items are ready to keep all workers busy for longer than what it has, so that nothing
queues behind a long item while others idle. A role's only worker always gets what it can run.

An item that may harm others is in quarantine: it goes to a worker that has no other item, and that gets none until
it is done.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tasks.pool.messages import Command, KillWorker, ResolveItem, SendItem, StartWorker
from tasks.pool.priority_queue import PriorityQueue
from tasks.pool.work_item import Role, WorkItem
from troupe.errors import TroupeError

__all__ = ["QueuedItem", "RoleQueue", "Worker"]

_MAX_AFFINITY_KEYS = 8
"""Number of keys, the latest, that a worker is assumed to have in memory: its own caches are bounded, too."""


@dataclass(eq=False, slots=True)
class QueuedItem:
    """A work item that has not ended, and its state.

    Attributes:
        number: number of items submitted before it.
        open_needs: number of items that must be done before it can start.
        dependants: items that need it.
        worker: worker that it was sent to and has not returned from.
        attempts: number of times it was sent to a worker.
        deaths: number of workers that died, or had to be killed, while they had it.
        started: time at which its worker started it, as far as is known; None before.
        store_errors: number of StoreErrors it failed with.
        needs_fresh_worker: whether it ran out of memory and must run on a worker that has run nothing yet.
    """

    item: WorkItem
    number: int
    open_needs: int = 0
    dependants: list[QueuedItem] = field(default_factory=list)
    worker: Worker | None = None
    attempts: int = 0
    deaths: int = 0
    started: float | None = None
    store_errors: int = 0
    needs_fresh_worker: bool = False

    @property
    def quarantined(self) -> bool:
        """Whether it must run alone, because it may harm other items on its worker."""
        return self.deaths > 0 or self.needs_fresh_worker


@dataclass(eq=False, slots=True)
class Worker:
    """A worker whose start was commanded and that is not known to be dead.

    Attributes:
        id: its number.
        ready: whether its constructor has returned.
        used: whether it was sent an item.
        in_flight: items sent to it, the oldest first; it runs as many as the role's concurrency.
        affinity_keys: keys of the items it ran, the latest last.
    """

    id: int
    ready: bool = False
    used: bool = False
    in_flight: list[QueuedItem] = field(default_factory=list)
    affinity_keys: list[str] = field(default_factory=list)


class RoleQueue:
    """The workers of one role and the items that wait for them.

    Args:
        role: role of the workers.
        ahead: number of items a worker may have beyond the one it runs, 0 or 1, where it runs one at a time.
        numbers: yields a number for every new worker.
        commands: list to which commands are appended, in the order of their execution.

    Attributes:
        workers: existing workers, by number.
        error: why there can be no workers; None if there can.
        failed_starts: number of workers in a row that did not start.
        not_before: time before which no worker is started.
    """

    def __init__(self, role: Role, ahead: int, numbers: Iterator[int], commands: list[Command | ResolveItem]) -> None:
        self.role = role
        self.workers: dict[int, Worker] = {}
        self.error: TroupeError | None = None
        self.failed_starts = 0
        self.not_before = 0.0
        self._capacity = max(role.concurrency, 1 + ahead)
        self._numbers = numbers
        self._commands = commands
        self._queued: dict[str, QueuedItem] = {}
        self._priorities = PriorityQueue()
        self._quarantine: list[QueuedItem] = []
        self._claims: Counter[str] = Counter()  # number of workers that have an affinity key
        self._unsent_cost = 0.0

    @property
    def busy(self) -> bool:
        """Whether a worker has an item."""
        return any(worker.in_flight for worker in self.workers.values())

    @property
    def ready(self) -> int:
        """Number of items that could start now."""
        return len(self._priorities) + len(self._quarantine)

    def is_running(self, queued: QueuedItem) -> bool:
        """Whether its worker runs an item, as far as is known."""
        return queued.worker is not None and queued in queued.worker.in_flight[: self.role.concurrency]

    def is_held_back(self, ready_elsewhere: int) -> bool:
        """Whether this number of ready items of other roles reaches the backpressure limit."""
        limit = self.role.backpressure_limit
        return limit is not None and ready_elsewhere >= limit

    def timed_out(self, now: float) -> list[QueuedItem]:
        """Return the items that ran for longer than their timeout; notes when newly running items started.

        Of the items that a worker runs at once, the time of the oldest counts: the others may wait for it.
        """
        late = []
        for queued in self._oldest():
            if queued.started is None:
                queued.started = now
            elif queued.item.timeout is not None and now - queued.started >= queued.item.timeout:
                late.append(queued)
        return late

    def next_timeout(self) -> float | None:
        """Return when the next of the items whose time counts times out."""
        return min(
            (
                queued.started + queued.item.timeout
                for queued in self._oldest()
                if queued.started is not None and queued.item.timeout is not None
            ),
            default=None,
        )

    def admit(self, queued: QueuedItem) -> None:
        """Count an item that no worker has; it may have to wait for others."""
        queued.worker = queued.started = None
        self._unsent_cost += queued.item.cost

    def enqueue(self, queued: QueuedItem) -> None:
        """Make an admitted item wait for a worker."""
        if queued.quarantined:
            self._quarantine.append(queued)
        else:
            self._queued[queued.item.key] = queued
            self._priorities.add(queued.item, queued.number)

    def take_back(self, queued: QueuedItem) -> None:
        """Take an item back from its worker, if it has one."""
        if queued.worker:
            queued.worker.in_flight.remove(queued)
            self.admit(queued)

    def remove(self, queued: QueuedItem) -> None:
        """Remove an item, wherever it is."""
        self.take_back(queued)
        self._unsent_cost -= queued.item.cost
        if queued in self._quarantine:
            self._quarantine.remove(queued)
        elif queued.item.key in self._queued:
            self._dequeue(queued)

    def assign_finishing(self, now: float) -> None:
        """Send only items that finish what others prepared, and start the workers for them."""
        for worker in [worker for worker in self.workers.values() if worker.ready and not worker.in_flight]:
            item = self._priorities.longest()
            if item is None or not item.finishing:
                return
            self._send(worker, self._queued[item.key])
        if self._priorities.finishing and now >= self.not_before:
            self.not_before = 0.0
            self.start_workers(self._priorities.finishing)

    def assign(self, now: float) -> None:
        """Send items to the workers, and start the workers that are missing."""
        idle = [worker for worker in self.workers.values() if worker.ready and not worker.in_flight]
        if self._quarantine:
            idle = self._assign_quarantined(idle)
        unfed = []
        for worker in idle:
            if item := self._choose(worker):
                self._send(worker, self._queued[item.key])
            else:
                unfed.append(worker)
        for worker in unfed:
            if item := self._priorities.longest():
                self._send(worker, self._queued[item.key])
        if not self._quarantine:
            self._send_more()
        if now >= self.not_before:
            self.not_before = 0.0
            self.start_workers(self.ready)

    def start_workers(self, wanted: int) -> None:
        """Start workers, as far as the role has some left, until `wanted` ones are being started."""
        starting = sum(not worker.ready for worker in self.workers.values())
        for _ in range(min(wanted - starting, self.role.workers - len(self.workers))):
            worker = Worker(next(self._numbers))
            self.workers[worker.id] = worker
            self._commands.append(StartWorker(worker.id, self.role))

    def remove_worker(self, worker: Worker) -> list[QueuedItem]:
        """Remove a worker that is gone; return the items it had."""
        del self.workers[worker.id]
        for affinity_key in worker.affinity_keys:
            self._drop_claim(affinity_key)
        in_flight = worker.in_flight.copy()
        for queued in in_flight:
            self.take_back(queued)
        return in_flight

    def kill(self, worker: Worker) -> None:
        """Kill a worker whose items are not to blame; they wait again."""
        self._commands.append(KillWorker(worker.id))
        for queued in self.remove_worker(worker):
            self.enqueue(queued)

    def _oldest(self) -> Iterator[QueuedItem]:
        return (worker.in_flight[0] for worker in self.workers.values() if worker.in_flight)

    def _choose(self, worker: Worker) -> WorkItem | None:
        longest = self._priorities.longest()
        if longest is None or longest.cost > self._unsent_cost / self.role.workers:
            return longest
        return self._priorities.longest_of(reversed(worker.affinity_keys)) or self._priorities.longest_unclaimed(
            self._claims.__contains__
        )

    def _send_more(self) -> None:
        """Send further items to busy workers, to those with the fewest first."""
        for count in range(1, self._capacity):
            for worker in self.workers.values():
                if len(worker.in_flight) == count and not any(queued.quarantined for queued in worker.in_flight):
                    self._send_another(worker)

    def _send_another(self, worker: Worker) -> None:
        alone = self.role.workers == 1 and len(worker.in_flight) < self.role.concurrency
        left = math.inf if alone else self._priorities.cost / self.role.workers
        left -= sum(queued.item.cost for queued in worker.in_flight)
        if left >= 0 and (item := self._choose(worker)) and item.cost <= left:
            self._send(worker, self._queued[item.key])

    def _assign_quarantined(self, idle: list[Worker]) -> list[Worker]:
        """Send quarantined items to idle workers; return the workers that are left."""
        left = []
        vacancies = self.role.workers - len(self.workers)
        fresh = vacancies + sum(not worker.used for worker in self.workers.values())
        for worker in idle:
            fitting = [queued for queued in self._quarantine if not (queued.needs_fresh_worker and worker.used)]
            if fitting:
                # A fresh worker is for an item that needs one.
                queued = max(fitting, key=lambda queued: queued.needs_fresh_worker) if not worker.used else fitting[0]
                fresh -= not worker.used
                self._quarantine.remove(queued)
                self._send(worker, queued)
            elif fresh < len(self._quarantine):
                # Every item left needs a fresh worker and there will be too few: this one makes room.
                self.kill(worker)
                fresh += 1
            else:
                left.append(worker)
        return left

    def _send(self, worker: Worker, queued: QueuedItem) -> None:
        if queued.item.key in self._queued:
            self._dequeue(queued)
        self._claim(worker, queued.item.affinity_key)
        worker.used = True
        worker.in_flight.append(queued)
        queued.worker = worker
        queued.attempts += 1
        self._unsent_cost -= queued.item.cost
        self._commands.append(SendItem(worker.id, queued.item))

    def _claim(self, worker: Worker, affinity_key: str) -> None:
        if not affinity_key:
            return
        if affinity_key in worker.affinity_keys:
            worker.affinity_keys.remove(affinity_key)
        else:
            self._claims[affinity_key] += 1
        worker.affinity_keys.append(affinity_key)
        if len(worker.affinity_keys) > _MAX_AFFINITY_KEYS:
            self._drop_claim(worker.affinity_keys.pop(0))

    def _drop_claim(self, affinity_key: str) -> None:
        self._claims[affinity_key] -= 1
        if not self._claims[affinity_key]:
            del self._claims[affinity_key]
            self._priorities.release(affinity_key)

    def _dequeue(self, queued: QueuedItem) -> None:
        del self._queued[queued.item.key]
        self._priorities.remove(queued.item.key)
