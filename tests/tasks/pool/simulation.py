"""A simulation of workers on a counted clock, which drives a Scheduler and checks its guarantees."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from tasks.pool.messages import (
    Event,
    ItemDone,
    ItemFailed,
    KillWorker,
    RecallItem,
    ResolveItem,
    SendItem,
    StartWorker,
    WorkerDied,
    WorkerStarted,
)
from tasks.pool.scheduler import Scheduler
from tasks.pool.work_item import Role, WorkItem
from tests.tasks.pool.counts import Counts
from tests.tasks.pool.plans import PlanWorker
from troupe.errors import TroupeError

Fate = Callable[[WorkItem, int], TroupeError | str | None]
"""Returns how an item's call of a given number (0 first) ends: None succeeds, an error fails; `die`, `hang`, or `node`
if its worker dies with its machine."""


def always_succeeds(_item: WorkItem, _call: int) -> None:
    """Let every call succeed."""


@dataclass
class _Process:
    role: str
    started: bool = False
    calls: int = 0
    queue: list[WorkItem] = field(default_factory=list)
    running: set[str] = field(default_factory=set)


class Simulation:
    """Runs items on simulated workers; an item takes as long as it costs.

    Attributes:
        ended: error of every ended item.
        log: (start, end, worker, key) of every call that ended.
        max_queue: largest number of items that one worker had at once.
        counts: commands and events of the scheduler, counted.
    """

    def __init__(
        self, roles: Sequence[Role], fate: Fate = always_succeeds, *, ahead: int = 1, start: float = 0.0
    ) -> None:
        self.scheduler = Scheduler(roles, ahead=ahead, rng=Random(0))
        self.counts = Counts(self.scheduler)
        self.now = 0.0
        self.ended: dict[str, TroupeError | None] = {}
        self.log: list[tuple[float, float, int, str]] = []
        self.max_queue = 0
        self.started: Counter[str] = Counter()
        self._roles = {role.name: role for role in roles}
        self._fate = fate
        self._start = start
        self._processes: dict[int, _Process] = {}
        self._calls: Counter[str] = Counter()
        self._deadly: Counter[str] = Counter()
        self._out_of_memory: set[str] = set()
        self._events: list[tuple[float, int, int, Event, WorkItem | None]] = []
        self._number = itertools.count()

    def run(self, items: Iterable[WorkItem], until: float = float("inf")) -> dict[str, TroupeError | None]:
        """Submit the items and let time pass until nothing happens any more, or until then."""
        for item in items:
            self.scheduler.add(item)
        self.execute()
        while True:
            times = [self._events[0][0]] if self._events else []
            if (deadline := self.scheduler.next_deadline()) is not None:
                times.append(deadline)
            if not times or min(times) > until:
                return self.ended
            self.now = max(self.now, min(times))
            while self._events and self._events[0][0] <= self.now:
                _, _, worker, event, ended = heapq.heappop(self._events)
                if worker in self._processes:
                    self._happen(worker, event, ended)
                    self.execute()
            self.execute()

    def execute(self) -> None:
        """Execute the scheduler's commands."""
        for command in self.scheduler.decide(self.now):
            match command:
                case StartWorker(worker=worker, role=role):
                    assert worker not in self._processes
                    self._processes[worker] = _Process(role.name)
                    self.started[role.name] += 1
                    siblings = [process for process in self._processes.values() if process.role == role.name]
                    assert len(siblings) <= role.workers
                    self._later(self._start, worker, WorkerStarted(worker))
                case SendItem(worker=worker, item=item):
                    self._send(worker, item)
                case RecallItem(worker=worker, key=key):
                    queue = self._processes[worker].queue
                    queue[:] = [item for item in queue if item.key != key]
                case KillWorker(worker=worker):
                    del self._processes[worker]
                case ResolveItem(key=key, error=error):
                    assert key not in self.ended
                    self.ended[key] = error

    def _send(self, worker: int, item: WorkItem) -> None:
        process = self._processes[worker]
        assert process.started, "an item was sent to a worker that has not started"
        assert process.role == item.role
        assert all(self.ended[need] is None for need in item.needs), "a need is not done"
        assert not any(item in other.queue for other in self._processes.values()), "an item runs twice at once"
        if process.queue:
            assert not any(self._deadly[other.key] for other in process.queue), "a suspect is not alone"
            assert not self._deadly[item.key], "a suspect is not alone"
        if item.key in self._out_of_memory:
            assert not process.calls, "the process is not fresh"
        process.calls += 1
        process.queue.append(item)
        self.max_queue = max(self.max_queue, len(process.queue))
        if len(process.queue) <= self._roles[process.role].concurrency:
            self._start_call(worker, item)

    def _start_call(self, worker: int, item: WorkItem) -> None:
        fate = self._fate(item, self._calls[item.key])
        self._processes[worker].running.add(item.key)
        event: Event = ItemDone(worker, item.key, item.key)
        if fate == "die":
            event = WorkerDied(worker, "simulated")
        elif fate == "node":
            event = WorkerDied(worker, "simulated", with_node=True)
        elif fate == "hang":
            return
        elif isinstance(fate, TroupeError):
            event = ItemFailed(worker, item.key, fate)
        self._later(item.cost, worker, event, item)

    def _happen(self, worker: int, event: Event, item: WorkItem | None) -> None:
        process = self._processes[worker]
        if item is None:
            process.started = True
            self.scheduler.handle(event, self.now)
            return
        self._calls[item.key] += 1  # Not before: a call that is cut short does not count.
        if isinstance(event, WorkerDied):
            if not event.with_node:
                self._deadly.update(item.key for item in process.queue)
            del self._processes[worker]
        else:
            process.queue.remove(item)
            process.running.remove(item.key)
            self.log.append((self.now - item.cost, self.now, worker, item.key))
            if isinstance(event, ItemFailed) and event.error.kind == "out_of_memory":
                self._out_of_memory.add(item.key)
            if waiting := [item for item in process.queue if item.key not in process.running]:
                self._start_call(worker, waiting[0])
        self.scheduler.handle(event, self.now)

    def _later(self, delay: float, worker: int, event: Event, item: WorkItem | None = None) -> None:
        heapq.heappush(self._events, (self.now + delay, next(self._number), worker, event, item))


def role(workers: int = 1, name: str = "play", concurrency: int = 1) -> Role:
    return Role(name, object, workers=workers, concurrency=concurrency)


def item(key: object, **attributes: object) -> WorkItem:
    return WorkItem(str(key), method=PlanWorker.act, **({"role": "play"} | attributes))  # type: ignore[arg-type]


def fates(**ends: TroupeError | str) -> Fate:
    """Make these items always end like this; all others succeed."""
    return lambda item, _call: ends.get(item.key)


def order(simulation: Simulation) -> list[str]:
    return [key for *_, key in sorted(simulation.log)]
