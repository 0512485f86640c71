"""Workers on a clock that is only counted: what drives a Scheduler, and watches that it keeps its promises."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from tasks.pool.messages import Done, Event, Failed, Finish, Kill, Lost, Recall, Send, Start, Up
from tasks.pool.scheduler import Scheduler
from tasks.pool.work_item import Role, WorkItem
from troupe.errors import TroupeError

Fate = Callable[[WorkItem, int], TroupeError | str | None]
"""How a call of a work ends, the how-manieth it is (0 first): None well, an error, `die`, `hang`, or `node`, if its
worker dies with its machine."""


def well(_work: WorkItem, _call: int) -> None:
    """Every call ends well."""


@dataclass
class _Process:
    role: str
    up: bool = False
    calls: int = 0
    queue: list[WorkItem] = field(default_factory=list)


class Simulation:
    """Runs works on simulated workers; a work takes as long as it costs.

    Attributes:
        ended: how every work ended, and when.
        log: (start, end, worker, key) of every call that ended.
        most: the most works that one worker ever had at once.
    """

    def __init__(self, roles: Sequence[Role], fate: Fate = well, *, ahead: int = 1, start: float = 0.0) -> None:
        self.scheduler = Scheduler(roles, ahead=ahead, random=Random(0))
        self.now = 0.0
        self.ended: dict[str, TroupeError | None] = {}
        self.log: list[tuple[float, float, int, str]] = []
        self.most = 0
        self.started: Counter[str] = Counter()
        self._roles = {role.name: role for role in roles}
        self._fate = fate
        self._start = start
        self._processes: dict[int, _Process] = {}
        self._calls: Counter[str] = Counter()
        self._deadly: Counter[str] = Counter()
        self._short: set[str] = set()
        self._events: list[tuple[float, int, int, Event]] = []
        self._number = itertools.count()

    def run(self, work_items: Iterable[WorkItem], until: float = float("inf")) -> dict[str, TroupeError | None]:
        """Submit the works and let time pass until nothing happens any more, or until then."""
        for work in work_items:
            self.scheduler.add(work)
        self.turn()
        while True:
            times = [self._events[0][0]] if self._events else []
            if (due := self.scheduler.wake()) is not None:
                times.append(due)
            if not times or min(times) > until:
                return self.ended
            self.now = max(self.now, min(times))
            while self._events and self._events[0][0] <= self.now:
                _, _, worker, event = heapq.heappop(self._events)
                if worker in self._processes:
                    self._happen(worker, event)
                    self.turn()
            self.turn()

    def turn(self) -> None:
        """Carry out what the scheduler decides."""
        for order in self.scheduler.decide(self.now):
            match order:
                case Start(worker=worker, role=role):
                    assert worker not in self._processes
                    self._processes[worker] = _Process(role.name)
                    self.started[role.name] += 1
                    staff = [process for process in self._processes.values() if process.role == role.name]
                    assert len(staff) <= role.workers
                    self._later(self._start, worker, Up(worker))
                case Send(worker=worker, work=work):
                    self._send(worker, work)
                case Recall(worker=worker, key=key):
                    queue = self._processes[worker].queue
                    queue[:] = [work for work in queue if work.key != key]
                case Kill(worker=worker):
                    del self._processes[worker]
                case Finish(key=key, error=error):
                    assert key not in self.ended
                    self.ended[key] = error

    def _send(self, worker: int, work: WorkItem) -> None:
        process = self._processes[worker]
        assert process.up, "work for a worker that is not there yet"
        assert process.role == work.role
        assert all(self.ended[need] is None for need in work.needs), "a need is not met"
        assert not any(work in other.queue for other in self._processes.values()), "done twice at once"
        if process.queue:
            assert not self._deadly[process.queue[0].key], "a suspect has company"
            assert not self._deadly[work.key], "a suspect has company"
        if work.key in self._short:
            assert not process.calls, "the process is not fresh"
        process.calls += 1
        process.queue.append(work)
        self.most = max(self.most, len(process.queue))
        if len(process.queue) == 1:
            self._begin(worker, work)

    def _begin(self, worker: int, work: WorkItem) -> None:
        fate = self._fate(work, self._calls[work.key])
        event: Event = Done(worker, work.key, work.key)
        if fate == "die":
            event = Lost(worker, "simulated")
        elif fate == "node":
            event = Lost(worker, "simulated", with_node=True)
        elif fate == "hang":
            return
        elif isinstance(fate, TroupeError):
            event = Failed(worker, work.key, fate)
        self._later(work.cost, worker, event)

    def _happen(self, worker: int, event: Event) -> None:
        process = self._processes[worker]
        if isinstance(event, Up):
            process.up = True
            self.scheduler.take(event, self.now)
            return
        self._calls[process.queue[0].key] += 1  # Not before: a call that is cut short does not count.
        if isinstance(event, Lost):
            if not event.with_node:
                self._deadly.update(work.key for work in process.queue)
            del self._processes[worker]
        else:
            work = process.queue.pop(0)
            self.log.append((self.now - work.cost, self.now, worker, work.key))
            if isinstance(event, Failed) and event.error.kind == "out_of_memory":
                self._short.add(work.key)
            if process.queue:
                self._begin(worker, process.queue[0])
        self.scheduler.take(event, self.now)

    def _later(self, delay: float, worker: int, event: Event) -> None:
        heapq.heappush(self._events, (self.now + delay, next(self._number), worker, event))
