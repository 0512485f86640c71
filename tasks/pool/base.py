"""The pool: its interface, and the thread that joins scheduler and transport."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from random import Random
from types import TracebackType
from typing import Any, Protocol, Self
from weakref import WeakValueDictionary

from tasks.pool.messages import Command, Event, ResolveItem, StartWorker
from tasks.pool.scheduler import Scheduler
from tasks.pool.transport import Emit, Transport
from tasks.pool.work_item import Role, WorkItem
from troupe.errors import Cancelled, TroupeError
from troupe.progress import OnProgress, Progress

__all__ = ["Pool", "ThreadedPool"]

GRACE = 1.0
"""Seconds that running items have to end by themselves after `stop`."""

_CLOSE_TIMEOUT = 2.0
"""Seconds that the transport has to close after that; then it is abandoned."""

_IDLE_CLOSE_TIMEOUT = 60.0
"""Seconds that the transport has to close after all items are done, when there is no hurry."""

_SUSPENDED = 5.0
"""Seconds between two readings of the clock, many times `_TICK`, after which the process must have been suspended."""

_TICK = 0.25
"""Seconds between two checks of the stop event."""

_log = logging.getLogger(__name__)


class Pool(Protocol):
    """Workers that execute what is submitted."""

    def submit(self, item: WorkItem) -> Future[Any]:
        """Submit a work item; the Future returns the method's result or raises a TroupeError.

        A key that is submitted again returns the same Future, also when it is done. The Future cannot be cancelled on
        its own. After the pool has stopped, it raises Cancelled.

        Raises:
            ValueError: unknown role, or a need that was not submitted before.
        """

    def start_workers(self, role: str, number: int) -> None:
        """Start workers of a role before it has items, up to this number: they load what they need meanwhile.

        Raises:
            ValueError: unknown role.
        """

    def attempts(self, key: str) -> int:
        """Return how often an item was sent to a worker; 0 if it never was."""

    def forget(self, key: str) -> None:
        """Drop the outcome of an item that has ended; submitted again, it is done again."""

    def drain(self) -> None:
        """Start nothing more and wait for the running items, however long; waiting items raise Cancelled."""

    def stop(self) -> None:
        """Stop within seconds: nothing starts, running items get a short grace, unfinished ones raise Cancelled."""

    def close(self) -> None:
        """Stop now. Wait for the Futures first: unfinished items raise Cancelled."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class _WorkersWanted:
    role: str
    number: int


class _AwakeClock:
    """Monotonic seconds, without those during which this process was suspended (Ctrl-Z).

    Workers continue meanwhile, but their answers are not received: no timeout may pass because of that.
    """

    def __init__(self) -> None:
        self._last, self._suspended = time.monotonic(), 0.0

    def now(self) -> float:
        """Return the seconds; must be called every `_TICK` or so."""
        last, self._last = self._last, time.monotonic()
        if self._last - last > _SUSPENDED:
            self._suspended += self._last - last
        return self._last - self._suspended


class ThreadedPool:
    """Runs a scheduler on a thread, which starts with the first submitted item, or when workers are wanted.

    Args:
        roles: roles of the workers; their names differ.
        connect: creates the transport; called when the first worker is needed, and has to return at once.
        ahead: see `Scheduler`.
        stop: when set, the pool stops.
        on_progress: receives the progress of running items, on the pool's thread; some is lost.
    """

    def __init__(
        self,
        roles: Sequence[Role],
        connect: Callable[[Emit], Transport],
        *,
        ahead: int,
        stop: threading.Event | None,
        on_progress: OnProgress | None,
    ) -> None:
        self._roles = {role.name for role in roles}
        if len(self._roles) < len(roles):
            raise ValueError(f"role names must differ: {', '.join(role.name for role in roles)}")
        self._connect = connect
        self._scheduler = Scheduler(roles, ahead=ahead, rng=Random())
        self._transport: Transport | None = None
        self._inbox: SimpleQueue[WorkItem | _WorkersWanted | Event | Progress | None] = SimpleQueue()
        self._futures: dict[str, Future[Any]] = {}
        # A Future takes some 2 kB: of an ended item only the outcome is kept, and the Future while the caller has it.
        self._outcomes: dict[str, tuple[Any, TroupeError | None]] = {}
        self._ended_futures: WeakValueDictionary[str, Future[Any]] = WeakValueDictionary()
        self._stop_event, self._on_progress = stop, on_progress
        self._clock = _AwakeClock()
        self._grace: float | None = None
        self._ended = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)

    def submit(self, item: WorkItem) -> Future[Any]:
        """See `Pool.submit`."""
        with self._lock:
            if future := self._futures.get(item.key) or self._ended_futures.get(item.key):
                return future
            if outcome := self._outcomes.get(item.key):
                future = self._ended_futures[item.key] = _running_future()
                _resolve(future, *outcome)
                return future
            self._check_role(item.role, item.key)
            future = _running_future()
            if self._ended:
                future.set_exception(_cancelled(item.key))
                return future
            if unknown := [need for need in item.needs if not (need in self._futures or need in self._outcomes)]:
                raise ValueError(f"{item.key}: needs {', '.join(unknown)}, which was not submitted before")
            self._futures[item.key] = future
            self._start_thread()
        self._inbox.put(item)
        return future

    def start_workers(self, role: str, number: int) -> None:
        """See `Pool.start_workers`."""
        self._check_role(role, "start_workers")
        with self._lock:
            if self._ended:
                return
            self._start_thread()
        self._inbox.put(_WorkersWanted(role, number))

    def attempts(self, key: str) -> int:
        """See `Pool.attempts`."""
        return self._scheduler.attempts(key)

    def forget(self, key: str) -> None:
        """See `Pool.forget`."""
        with self._lock:
            self._outcomes.pop(key, None)
            self._ended_futures.pop(key, None)  # which lives as long as a caller has it
        self._scheduler.forget(key)

    def drain(self) -> None:
        """See `Pool.drain`."""
        self._end(math.inf)

    def stop(self) -> None:
        """See `Pool.stop`."""
        self._end(GRACE)

    def close(self) -> None:
        """See `Pool.close`."""
        self._end(0.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_role(self, role: str, what: str) -> None:
        if role not in self._roles:
            raise ValueError(f"{what}: unknown role {role!r}; use one of {', '.join(sorted(self._roles))}")

    def _start_thread(self) -> None:
        if self._thread.ident is None:
            self._thread.start()

    def _end(self, grace: float) -> None:
        with self._lock:
            self._grace = grace if self._grace is None else min(grace, self._grace)
            if self._thread.ident is None:
                self._ended = True
                return
        self._inbox.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        timeout, error = _CLOSE_TIMEOUT, None
        try:
            if self._loop():
                timeout = _IDLE_CLOSE_TIMEOUT
        except Exception as bug:
            _log.exception("the pool's scheduler failed")
            error = TroupeError(f"the pool's scheduler failed: {bug!r}. This is a bug in troupe; please report it")
        with self._lock:
            self._ended = True
        for key in list(self._futures):
            self._resolve_item(key, None, error or _cancelled(key))
        if self._transport and not self._transport.close(timeout):
            _log.info("the pool did not close in time; what still runs ends when it is done, or with this process")

    def _loop(self) -> bool:
        """Run until stopped; return whether every item was done by then."""
        scheduler = self._scheduler
        while True:
            self._receive()
            if self._stop_event and self._stop_event.is_set() and self._grace is None:
                self._grace = GRACE
            if self._grace is not None:
                break
            self._execute(scheduler.decide(self._clock.now()))
        complete = not self._futures
        stopped = self._clock.now()
        scheduler.stop()
        hurry = self._grace < math.inf
        while scheduler.busy and self._clock.now() < stopped + self._grace:
            self._execute(scheduler.decide(self._clock.now()))
            self._receive()
            if not hurry and (self._grace < math.inf or (self._stop_event and self._stop_event.is_set())):
                # Stopped while it drained: the grace starts now.
                hurry, stopped, self._grace = True, self._clock.now(), min(self._grace, GRACE)
        scheduler.cancel_all()
        self._execute(scheduler.decide(self._clock.now()))
        return complete

    def _receive(self) -> None:
        """Pass what has arrived to the scheduler; wait for it, but not beyond the next deadline."""
        for message in self._messages():
            if isinstance(message, WorkItem):
                self._scheduler.add(message)
            elif isinstance(message, _WorkersWanted):
                self._scheduler.start_workers(message.role, message.number)
            elif isinstance(message, Progress):
                if self._on_progress is not None:
                    self._on_progress(message)
            elif message is not None:
                self._scheduler.handle(message, self._clock.now())

    def _messages(self) -> Iterator[WorkItem | _WorkersWanted | Event | Progress | None]:
        deadline = self._scheduler.next_deadline()
        timeout = _TICK if deadline is None else min(_TICK, max(0.0, deadline - self._clock.now()))
        try:
            yield self._inbox.get(timeout=timeout)
            while True:
                yield self._inbox.get_nowait()
        except Empty:
            return

    def _execute(self, commands: Sequence[Command | ResolveItem]) -> None:
        for command in commands:
            if isinstance(command, ResolveItem):
                self._resolve_item(command.key, command.result, command.error)
                continue
            if isinstance(command, StartWorker) and self._transport is None:
                self._transport = self._connect(self._inbox.put)
            if self._transport:
                self._transport.enqueue(command)

    def _resolve_item(self, key: str, result: Any, error: TroupeError | None) -> None:
        with self._lock:
            self._outcomes[key] = (result, error)
            future = self._ended_futures[key] = self._futures.pop(key)
        _resolve(future, result, error)


def _running_future() -> Future[Any]:
    """Create a Future that cannot be cancelled on its own, as the scheduler would not hear of it."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    return future


def _resolve(future: Future[Any], result: Any, error: TroupeError | None) -> None:
    if error:
        future.set_exception(error)
    else:
        future.set_result(result)


def _cancelled(key: str) -> Cancelled:
    return Cancelled(f"{key}: the pool was stopped before it was done")
