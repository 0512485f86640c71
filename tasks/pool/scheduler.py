"""What to do next: the pool's decisions, without a clock, a thread or a process.

The caller puts works in with `add`, tells what happened with `take` and carries out what `decide` orders. Time is a
number that the caller gives and that only grows. Which work goes to which worker is the `crew`'s; here is what
depends on what, and where an error leads.

Suspects. What a worker had when it died is run again, each work alone on a worker. A work that had two workers
die, the second while it was alone there, is the killer. A work that outlasts its timeout is a suspect, too: its
worker is ended, and no other work is blamed.
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Sequence
from random import Random
from typing import Any

from tasks.pool.messages import Broken, Command, Done, Event, Failed, Finish, Lost, Recall, Refused, Send, Start, Up
from tasks.pool.role_queue import QueuedItem, RoleQueue, Worker
from tasks.pool.work_item import Role, Stats, WorkItem
from troupe.errors import Cancelled, OutOfMemory, Overdue, StoreError, TroupeError, WorkerLost

__all__ = ["BACKOFF", "DEATHS", "TRIES", "Scheduler"]

TRIES = 3
"""How often a work that meets a StoreError, and a worker that does not come up, are tried in all."""

BACKOFF = 1.0
"""Seconds before the second try, give or take half; twice as long before the third."""

DEATHS = 2
"""So many workers may one work end."""

NODES = 3
"""So many nodes may go while they have the same work, before it is a suspect."""

_log = logging.getLogger(__name__)


class Scheduler:
    """Decides which work goes where, and where an error leads.

    Args:
        roles: whose workers there can be; their names differ.
        ahead: how many works a worker is sent beyond the one it runs, 0 or 1.
        random: spreads the pauses before a retry.
    """

    def __init__(self, roles: Sequence[Role], *, ahead: int, random: Random) -> None:
        self._commands: list[Command | Finish] = []
        numbers = itertools.count(1)
        self._crews = {role.name: RoleQueue(role, ahead, numbers, self._commands) for role in roles}
        self._random = random
        self._items: dict[str, QueuedItem] = {}
        self._ended: dict[str, tuple[TroupeError | None, int]] = {}
        self._delayed: list[tuple[float, int, QueuedItem]] = []
        self._order = itertools.count()
        self._calls = self._started = self._lost = self._retries = 0
        self._stopping = False

    @property
    def stats(self) -> Stats:
        """What was counted so far."""
        return Stats(self._calls, self._started, self._lost, self._retries)

    @property
    def busy(self) -> bool:
        """Whether a worker has a work."""
        return any(crew.busy for crew in self._crews.values())

    def attempts(self, key: str) -> int:
        """How often the work was given to a worker."""
        item = self._items.get(key)
        return item.sent if item else self._ended.get(key, (None, 0))[1]

    def forget(self, key: str) -> None:
        """Drop what is known of a work that has ended; from any thread."""
        self._ended.pop(key, None)

    def wake(self) -> float | None:
        """When something is due even if nothing happens."""
        times = [crew.not_before for crew in self._crews.values() if crew.not_before]
        times += [due for crew in self._crews.values() if (due := crew.due()) is not None]
        return min(times + [due for due, *_ in self._delayed[:1]], default=None)

    def add(self, work: WorkItem) -> None:
        """Take on a work with a new key; its needs were added before."""
        item = self._items[work.key] = QueuedItem(work, next(self._order))
        crew = self._crews[work.role]
        crew.admit(item)
        error = next((error for need in work.needs if (error := self._ended.get(need, (None, 0))[0])), crew.error)
        if self._stopping:
            self._cancel(item)
        elif error:
            self._end(item, error=error)
        else:
            needs = {need: self._items[need] for need in work.needs if need in self._items}
            for need in needs.values():
                need.dependants.append(item)
            item.open_needs = len(needs)
            if not needs:
                crew.queue(item)

    def take(self, event: Event, now: float) -> None:
        """Learn what happened. What is said of a worker that was killed, or of a work it has not, is ignored."""
        if isinstance(event, Broken):
            for crew in self._crews.values():
                self._close(crew, event.error)
            return
        for crew in self._crews.values():
            if worker := crew.workers.get(event.worker):
                break
        else:
            return
        match event:
            case Up():
                worker.up, crew.failed_starts, crew.not_before = True, 0, 0.0
            case Refused(error=error):
                crew.dismiss(worker)
                self._miss(crew, error, now, again=isinstance(error, StoreError))
            case Lost() if worker.up:
                self._lose(crew, worker, event)
            case Lost():
                self._lost += 1
                crew.dismiss(worker)
                self._miss(crew, _stillborn(crew.role, event), now, again=True)
            case Done(key=key, result=result):
                if item := self._land(crew, worker, key):
                    self._end(item, result=result)
            case Failed(key=key, error=error):
                if item := self._land(crew, worker, key):
                    self._recover(crew, worker, item, error, now)

    def decide(self, now: float) -> list[Command | Finish]:
        """What is to be done now, in this order."""
        while self._delayed and self._delayed[0][0] <= now:
            item = heapq.heappop(self._delayed)[2]
            if item.work.key in self._items:
                self._crews[item.work.role].queue(item)
        ready = sum(crew.ready for crew in self._crews.values())
        for crew in self._crews.values():
            for item in crew.overdue(now):
                self._give_up_on(crew, item)
            if self._stopping:
                for worker in [worker for worker in crew.workers.values() if not worker.flight]:
                    crew.kill(worker)
            elif not crew.error and not crew.held_back(ready - crew.ready):
                crew.employ(now)
        commands = self._commands.copy()
        self._commands.clear()
        self._started += sum(isinstance(order, Start) for order in commands)
        self._retries += sum(isinstance(order, Send) and self.attempts(order.work.key) > 1 for order in commands)
        return commands

    def stop(self) -> None:
        """Begin nothing any more: what does not run is cancelled, and a worker goes when it is done."""
        self._stopping = True
        self._delayed.clear()
        for crew in self._crews.values():
            crew.not_before = 0.0
        # Later works first, so that each is cancelled for itself and not for what it needs.
        for item in reversed(list(self._items.values())):
            if item.worker and item.worker.flight[0] is item:
                continue
            if item.worker:
                self._commands.append(Recall(item.worker.id, item.work.key))
            self._cancel(item)

    def end(self) -> None:
        """Cancel what still runs, too; `decide` then ends every worker."""
        self.stop()
        for item in list(self._items.values()):
            self._cancel(item)

    def _land(self, crew: RoleQueue, worker: Worker, key: str) -> QueuedItem | None:
        item = self._items.get(key)
        if item is None or item.worker is not worker:
            return None
        self._calls += 1
        crew.land(item)
        return item

    def _recover(self, crew: RoleQueue, worker: Worker, item: QueuedItem, error: TroupeError, now: float) -> None:
        """Try again what may work another time."""
        key = item.work.key
        store = isinstance(error, StoreError) and item.store_errors + 1 < TRIES
        memory = isinstance(error, OutOfMemory) and not item.wants_fresh
        if not (store or memory):
            self._end(item, error=error)
        elif self._stopping:
            self._cancel(item)
        elif store:
            item.store_errors += 1
            pause = self._pause(item.store_errors)
            _log.info("%s: %s; trying again in %.1f s", key, error.message, pause, extra=_about(item))
            heapq.heappush(self._delayed, (now + pause, item.order, item))
        else:
            _log.warning("%s: %s; trying once more on a fresh process", key, error.message, extra=_about(item))
            item.wants_fresh = True
            crew.kill(worker)
            crew.queue(item)

    def _lose(self, crew: RoleQueue, worker: Worker, lost: Lost) -> None:
        suspects = crew.dismiss(worker)
        self._lost += 1
        keys = ", ".join(item.work.key for item in suspects) or "nothing"
        about = {"about": {"job": keys, "worker": f"{crew.role.name} {worker.id}"}}
        _log.warning("a worker of role %r died (%s) while it had %s", crew.role.name, lost.reason, keys, extra=about)
        for item in suspects:
            was_suspect = item.deaths > 0
            # A machine goes for reasons of its own, as a rule: only what was on many that went is suspected.
            item.deaths += not lost.with_node or item.sent > NODES
            if self._stopping:
                self._cancel(item)
            elif was_suspect and item.deaths >= DEATHS:
                self._end(item, error=_killer(item, lost))
            else:
                crew.queue(item)

    def _give_up_on(self, crew: RoleQueue, item: QueuedItem) -> None:
        """End a worker that is stuck."""
        work, worker = item.work, item.worker
        assert worker is not None
        crew.land(item)
        crew.kill(worker)
        item.deaths += 1
        _log.warning("%s: no end after %.0f s; its worker is replaced", work.key, work.timeout, extra=_about(item))
        if item.deaths >= DEATHS:
            self._end(item, error=_stuck(item))
        elif self._stopping:
            self._cancel(item)
        else:
            crew.queue(item)

    def _miss(self, crew: RoleQueue, error: TroupeError, now: float, *, again: bool) -> None:
        """A worker did not come up."""
        crew.failed_starts += 1
        if self._stopping:
            return
        if again and crew.failed_starts < TRIES:
            crew.not_before = now + self._pause(crew.failed_starts)
            _log.warning("%s; trying again", error.message)
        else:
            self._close(crew, error)

    def _close(self, crew: RoleQueue, error: TroupeError) -> None:
        """No worker of this role can be had: everything it would do fails."""
        crew.error, crew.not_before = error, 0.0
        for worker in list(crew.workers.values()):
            crew.kill(worker)
        for item in [item for item in self._items.values() if item.work.role == crew.role.name]:
            self._end(item, error=error)

    def _cancel(self, item: QueuedItem) -> None:
        self._end(item, error=Cancelled(f"{item.work.key}: stopped before it was done"))

    def _end(self, item: QueuedItem, *, result: Any = None, error: TroupeError | None = None) -> None:
        """Finish a work, and with an error all that needs it."""
        ending = [item]
        while ending:
            item = ending.pop()
            key = item.work.key
            if self._items.pop(key, None) is None:
                continue
            self._crews[item.work.role].withdraw(item)
            self._ended[key] = (error, item.sent)
            self._commands.append(Finish(key, result, error))
            if error:
                ending += reversed(item.dependants)
                continue
            for dependant in item.dependants:
                dependant.open_needs -= 1
                if not dependant.open_needs and dependant.work.key in self._items:
                    self._crews[dependant.work.role].queue(dependant)

    def _pause(self, failures: int) -> float:
        return BACKOFF * 2.0 ** (failures - 1) * self._random.uniform(0.5, 1.5)


def _about(item: QueuedItem) -> dict[str, dict[str, str]]:
    return {"about": {"job": item.work.key, "worker": item.work.role}}


def _killer(item: QueuedItem, lost: Lost) -> WorkerLost:
    work = item.work
    advice = "Its input probably crashes a library: see the worker's log, or do this work by itself in-process"
    return WorkerLost(
        f"{work.key}: the worker of role {work.role!r} died in {work.method.__name__} {item.deaths} times, the last "
        f"time with nothing else to do ({lost.reason}). {lost.advice or advice}"
    )


def _stuck(item: QueuedItem) -> Overdue:
    work = item.work
    return Overdue(
        f"{work.key}: {work.method.__name__} had no end after {work.timeout:.0f} s, {item.deaths} workers were ended "
        "over it. Its input probably keeps a library busy forever, or the device is far too slow for it"
    )


def _stillborn(role: Role, lost: Lost) -> WorkerLost:
    advice = lost.advice or "See how much memory the machine has free, and the worker's log"
    return WorkerLost(f"a worker of role {role.name!r} died while it started ({lost.reason}). {advice}")
