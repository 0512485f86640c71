"""The pool's scheduler: a state machine without clock, thread or process.

The caller adds work items with `add`, reports events with `handle` and executes the commands that `decide` returns.
Time is a number that the caller passes and that only grows. Which item goes to which worker is up to the `role_queue`;
this module tracks dependencies and decides what an error leads to.

Suspects. The items that a worker had when it died are retried, each alone on a worker. An item whose worker dies twice,
the second time while it was alone, is blamed and fails. An item that outlasts its timeout is a suspect, too: its worker
is killed, and no other item is blamed.
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Sequence
from random import Random
from typing import Any

from tasks.pool.messages import (
    Command,
    Event,
    ItemDone,
    ItemFailed,
    NoWorkers,
    RecallItem,
    ResolveItem,
    StartFailed,
    WorkerDied,
    WorkerStarted,
)
from tasks.pool.role_queue import QueuedItem, RoleQueue, Worker
from tasks.pool.work_item import Role, WorkItem
from troupe.errors import Cancelled, OutOfMemory, Overdue, StoreError, TroupeError, WorkerLost

__all__ = ["BACKOFF", "MAX_DEATHS", "MAX_NODES", "MAX_TRIES", "Scheduler"]

MAX_TRIES = 3
"""Number of attempts, in all, at an item that fails with StoreErrors and at starting a worker."""

BACKOFF = 1.0
"""Seconds before the second attempt, give or take half; twice as long before the third."""

MAX_DEATHS = 2
"""Number of workers whose death one item may cause before it fails."""

MAX_NODES = 3
"""Number of nodes that may be lost while they have the same item before it is a suspect."""

_log = logging.getLogger(__name__)


class Scheduler:
    """Decides which item goes to which worker, and what an error leads to.

    Args:
        roles: roles of the workers; their names differ.
        ahead: number of items a worker is sent beyond the one it runs, 0 or 1, where it runs one at a time.
        rng: spreads the pauses before a retry.
    """

    def __init__(self, roles: Sequence[Role], *, ahead: int, rng: Random) -> None:
        self._commands: list[Command | ResolveItem] = []
        numbers = itertools.count(1)
        self._queues = {role.name: RoleQueue(role, ahead, numbers, self._commands) for role in roles}
        self._rng = rng
        self._items: dict[str, QueuedItem] = {}
        # Error and attempts of every item that has ended.
        self._ended: dict[str, tuple[TroupeError | None, int]] = {}
        self._delayed: list[tuple[float, int, QueuedItem]] = []
        self._numbers = itertools.count()
        self._stopping = False

    @property
    def busy(self) -> bool:
        """Whether a worker has an item."""
        return any(queue.busy for queue in self._queues.values())

    def attempts(self, key: str) -> int:
        """Return how often an item was sent to a worker."""
        queued = self._items.get(key)
        return queued.attempts if queued else self._ended.get(key, (None, 0))[1]

    def forget(self, key: str) -> None:
        """Drop the state of an item that has ended; callable from any thread."""
        self._ended.pop(key, None)

    def next_deadline(self) -> float | None:
        """Return when `decide` must be called even if nothing happens."""
        times = [queue.not_before for queue in self._queues.values() if queue.not_before]
        times += [timeout for queue in self._queues.values() if (timeout := queue.next_timeout()) is not None]
        return min(times + [due for due, *_ in self._delayed[:1]], default=None)

    def add(self, item: WorkItem) -> None:
        """Add an item with a new key; its needs were added before."""
        queued = self._items[item.key] = QueuedItem(item, next(self._numbers))
        queue = self._queues[item.role]
        queue.admit(queued)
        error = next((error for need in item.needs if (error := self._ended.get(need, (None, 0))[0])), queue.error)
        if self._stopping:
            self._cancel(queued)
        elif error:
            self._end(queued, error=error)
        else:
            needs = {need: self._items[need] for need in item.needs if need in self._items}
            for need in needs.values():
                need.dependants.append(queued)
            queued.open_needs = len(needs)
            if not needs:
                queue.enqueue(queued)

    def start_workers(self, role: str, number: int) -> None:
        """Start workers of a role before it has items, up to this number."""
        queue = self._queues[role]
        if not self._stopping and not queue.error:
            queue.start_workers(number - sum(worker.ready for worker in queue.workers.values()))

    def handle(self, event: Event, now: float) -> None:
        """Handle an event. Events of killed workers, and of items that the worker does not have, are ignored."""
        if isinstance(event, NoWorkers):
            for queue in self._queues.values():
                self._close(queue, event.error)
            return
        for queue in self._queues.values():
            if worker := queue.workers.get(event.worker):
                break
        else:
            return
        match event:
            case WorkerStarted():
                worker.ready, queue.failed_starts, queue.not_before = True, 0, 0.0
            case StartFailed(error=error):
                queue.remove_worker(worker)
                self._on_failed_start(queue, error, now, retry=isinstance(error, StoreError))
            case WorkerDied() if worker.ready:
                self._on_death(queue, worker, event)
            case WorkerDied():
                queue.remove_worker(worker)
                self._on_failed_start(queue, _died_starting(queue.role, event), now, retry=True)
            case ItemDone(key=key, result=result):
                if queued := self._take_back(queue, worker, key):
                    self._end(queued, result=result)
            case ItemFailed(key=key, error=error):
                if queued := self._take_back(queue, worker, key):
                    self._on_error(queue, worker, queued, error, now)

    def decide(self, now: float) -> list[Command | ResolveItem]:
        """Return what is to be done now, in this order."""
        while self._delayed and self._delayed[0][0] <= now:
            queued = heapq.heappop(self._delayed)[2]
            if queued.item.key in self._items:
                self._queues[queued.item.role].enqueue(queued)
        ready = sum(queue.ready for queue in self._queues.values())
        for queue in self._queues.values():
            for queued in queue.timed_out(now):
                self._on_timeout(queue, queued)
            if self._stopping:
                for worker in [worker for worker in queue.workers.values() if not worker.in_flight]:
                    queue.kill(worker)
            elif not queue.error and queue.is_held_back(ready - queue.ready):
                queue.assign_finishing(now)
            elif not queue.error:
                queue.assign(now)
        commands = self._commands.copy()
        self._commands.clear()
        return commands

    def stop(self) -> None:
        """Start nothing more: items that do not run are cancelled, and a worker is killed when it is idle."""
        self._stopping = True
        self._delayed.clear()
        for queue in self._queues.values():
            queue.not_before = 0.0
        # Later items first, so that each is cancelled for itself and not for what it needs.
        for queued in reversed(list(self._items.values())):
            if self._queues[queued.item.role].is_running(queued):
                continue
            if queued.worker:
                self._commands.append(RecallItem(queued.worker.id, queued.item.key))
            self._cancel(queued)

    def cancel_all(self) -> None:
        """Stop, and cancel the running items, too; `decide` then kills every worker."""
        self.stop()
        for queued in list(self._items.values()):
            self._cancel(queued)

    def _take_back(self, queue: RoleQueue, worker: Worker, key: str) -> QueuedItem | None:
        queued = self._items.get(key)
        if queued is None or queued.worker is not worker:
            return None
        queue.take_back(queued)
        return queued

    def _on_error(self, queue: RoleQueue, worker: Worker, queued: QueuedItem, error: TroupeError, now: float) -> None:
        """Retry an item whose error may not recur; otherwise it fails."""
        name = queued.item.name
        retry_store = isinstance(error, StoreError) and queued.store_errors + 1 < MAX_TRIES
        retry_memory = isinstance(error, OutOfMemory) and not queued.needs_fresh_worker
        if not (retry_store or retry_memory):
            self._end(queued, error=error)
        elif self._stopping:
            self._cancel(queued)
        elif retry_store:
            queued.store_errors += 1
            pause = self._pause(queued.store_errors)
            _log.info("%s: %s; retrying in %.1f s", name, error.message, pause, extra=_log_context(queued))
            heapq.heappush(self._delayed, (now + pause, queued.number, queued))
        else:
            _log.warning("%s: %s; retrying once on a fresh process", name, error.message, extra=_log_context(queued))
            queued.needs_fresh_worker = True
            queue.kill(worker)
            queue.enqueue(queued)

    def _on_death(self, queue: RoleQueue, worker: Worker, death: WorkerDied) -> None:
        suspects = queue.remove_worker(worker)
        name, items = queue.role.name, ", ".join(queued.item.name for queued in suspects) or "nothing"
        about = {"about": {"job": items, "worker": f"{name} {worker.id}"}}
        _log.warning("a worker of role %r died (%s) while running %s", name, death.reason, items, extra=about)
        for queued in suspects:
            was_suspect = queued.deaths > 0
            # The loss of a node is rarely caused by an item: an item is suspected only after several.
            queued.deaths += not death.with_node or queued.attempts > MAX_NODES
            if self._stopping:
                self._cancel(queued)
            elif was_suspect and queued.deaths >= MAX_DEATHS:
                self._end(queued, error=_killed_workers(queued, death))
            else:
                queue.enqueue(queued)

    def _on_timeout(self, queue: RoleQueue, queued: QueuedItem) -> None:
        """Kill the worker of an item that timed out."""
        item, worker = queued.item, queued.worker
        assert worker is not None
        queue.take_back(queued)
        queue.kill(worker)
        queued.deaths += 1
        extra = _log_context(queued)
        _log.warning("%s: timed out after %.0f s; its worker is replaced", item.name, item.timeout, extra=extra)
        if queued.deaths >= MAX_DEATHS:
            self._end(queued, error=_timed_out(queued))
        elif self._stopping:
            self._cancel(queued)
        else:
            queue.enqueue(queued)

    def _on_failed_start(self, queue: RoleQueue, error: TroupeError, now: float, *, retry: bool) -> None:
        queue.failed_starts += 1
        if self._stopping:
            return
        if retry and queue.failed_starts < MAX_TRIES:
            queue.not_before = now + self._pause(queue.failed_starts)
            _log.warning("%s; retrying", error.message)
        else:
            self._close(queue, error)

    def _close(self, queue: RoleQueue, error: TroupeError) -> None:
        """Fail all items of a role, present and future, because it can have no workers."""
        queue.error, queue.not_before = error, 0.0
        for worker in list(queue.workers.values()):
            queue.kill(worker)
        for queued in [queued for queued in self._items.values() if queued.item.role == queue.role.name]:
            self._end(queued, error=error)

    def _cancel(self, queued: QueuedItem) -> None:
        self._end(queued, error=Cancelled(f"{queued.item.name}: stopped before it was done"))

    def _end(self, queued: QueuedItem, *, result: Any = None, error: TroupeError | None = None) -> None:
        """End an item, and with an error all items that need it."""
        ending = [queued]
        while ending:
            queued = ending.pop()
            key = queued.item.key
            if self._items.pop(key, None) is None:
                continue
            self._queues[queued.item.role].remove(queued)
            self._ended[key] = (error, queued.attempts)
            self._commands.append(ResolveItem(key, result, error))
            if error:
                ending += reversed(queued.dependants)
                continue
            for dependant in queued.dependants:
                dependant.open_needs -= 1
                if not dependant.open_needs and dependant.item.key in self._items:
                    self._queues[dependant.item.role].enqueue(dependant)

    def _pause(self, failures: int) -> float:
        return BACKOFF * 2.0 ** (failures - 1) * self._rng.uniform(0.5, 1.5)


def _log_context(queued: QueuedItem) -> dict[str, dict[str, str]]:
    return {"about": {"job": queued.item.name, "worker": queued.item.role}}


def _killed_workers(queued: QueuedItem, death: WorkerDied) -> WorkerLost:
    item = queued.item
    advice = "Its input probably crashes a library: see the worker's log, or run this item alone, in-process"
    return WorkerLost(
        f"{item.name}: the worker of role {item.role!r} died in {item.method.__name__} {queued.deaths} times, the last "
        f"time while running nothing else ({death.reason}). {death.advice or advice}"
    )


def _timed_out(queued: QueuedItem) -> Overdue:
    item = queued.item
    return Overdue(
        f"{item.name}: {item.method.__name__} timed out after {item.timeout:.0f} s on {queued.deaths} workers. Its "
        "input probably keeps a library busy forever, or the device is far too slow for it"
    )


def _died_starting(role: Role, death: WorkerDied) -> WorkerLost:
    advice = death.advice or "Check how much memory the machine has free, and the worker's log"
    return WorkerLost(f"a worker of role {role.name!r} died while it started ({death.reason}). {advice}")
