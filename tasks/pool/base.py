"""A pool: what callers see, and the thread that joins scheduler and transport."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from random import Random
from types import TracebackType
from typing import Any, Protocol, Self
from weakref import WeakValueDictionary

from tasks.pool.messages import Command, Event, Finish, Start
from tasks.pool.scheduler import Scheduler
from tasks.pool.transport import Post, Transport
from tasks.pool.work_item import Role, Stats, WorkItem
from troupe.errors import Cancelled, TroupeError

__all__ = ["Pool", "ThreadedPool"]

GRACE = 1.0
"""Seconds that running works have to end by themselves after `stop`."""

_LEAVE = 2.0
"""Seconds that the transport has to leave, after that; then it is left to itself."""

_LEAVE_IN_PEACE = 60.0
"""The same, where everything was done and nobody is in a hurry."""

_SUSPENDED = 5.0
"""Seconds between two looks at the clock, many times `_TICK`, after which the process is taken to have been stopped."""

_TICK = 0.25
"""Seconds after which the stop event is looked at even if nothing happens."""

_log = logging.getLogger(__name__)


class Pool(Protocol):
    """Workers that do what is submitted."""

    def submit(self, work: WorkItem) -> Future[Any]:
        """Have a work done; the Future gives what the method returned, or raises a TroupeError.

        A key submitted again gives the same Future, also when it is done. The Future cannot be cancelled by
        itself. After the pool has stopped, it raises Cancelled.

        Raises:
            ValueError: there is no such role, or a need that was not submitted before.
        """

    def attempts(self, key: str) -> int:
        """How often a work was given to a worker; 0 if it never was."""

    def forget(self, key: str) -> None:
        """Drop what is known of a work that has ended, for it is not asked for again."""

    @property
    def stats(self) -> Stats:
        """What was counted so far."""

    def drain(self) -> None:
        """Begin nothing any more, and let what runs end, however long it takes; what waits raises Cancelled."""

    def stop(self) -> None:
        """End within seconds: nothing begins, what runs has a short grace, what is not done raises Cancelled."""

    def close(self) -> None:
        """End now. Wait for the Futures first: what is not done raises Cancelled."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _Clock:
    """Monotonic seconds, without those in which this process was stopped (Ctrl-Z).

    Workers go on meanwhile, but nobody hears of it: no timeout may pass for that.
    """

    def __init__(self) -> None:
        self._looked, self._suspended = time.monotonic(), 0.0

    def now(self) -> float:
        """Seconds; to be called every `_TICK` or so."""
        looked, self._looked = self._looked, time.monotonic()
        if self._looked - looked > _SUSPENDED:
            self._suspended += self._looked - looked
        return self._looked - self._suspended


class ThreadedPool:
    """Runs a scheduler on a thread, from the first submitted work on.

    Args:
        roles: whose workers there can be; their names differ.
        connect: makes the transport; called when the first worker is needed, and has to return at once.
        ahead: see `Scheduler`.
        stop: when set, the pool stops.
    """

    def __init__(
        self,
        roles: Sequence[Role],
        connect: Callable[[Post], Transport],
        *,
        ahead: int,
        stop: threading.Event | None,
    ) -> None:
        self._roles = {role.name for role in roles}
        if len(self._roles) < len(roles):
            raise ValueError(f"two roles have one name: {', '.join(role.name for role in roles)}")
        self._connect = connect
        self._scheduler = Scheduler(roles, ahead=ahead, random=Random())
        self._transport: Transport | None = None
        self._inbox: SimpleQueue[WorkItem | Event | None] = SimpleQueue()
        self._futures: dict[str, Future[Any]] = {}
        # A Future is some 2 kB: of what has ended only the outcome is kept, and the Future if somebody else has it.
        self._outcomes: dict[str, tuple[Any, TroupeError | None]] = {}
        self._kept: WeakValueDictionary[str, Future[Any]] = WeakValueDictionary()
        self._stop_event = stop
        self._clock = _Clock()
        self._grace: float | None = None
        self._ended = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)

    def submit(self, work: WorkItem) -> Future[Any]:
        """See `Pool.submit`."""
        with self._lock:
            if future := self._futures.get(work.key) or self._kept.get(work.key):
                return future
            if outcome := self._outcomes.get(work.key):
                future = self._kept[work.key] = _future()
                _resolve(future, *outcome)
                return future
            if work.role not in self._roles:
                raise ValueError(f"{work.key}: there is no role {work.role!r}, only {', '.join(sorted(self._roles))}")
            future = _future()
            if self._ended:
                future.set_exception(_cancelled(work.key))
                return future
            if unknown := [need for need in work.needs if not (need in self._futures or need in self._outcomes)]:
                raise ValueError(f"{work.key}: it needs {', '.join(unknown)}, which was not submitted before")
            self._futures[work.key] = future
            if self._thread.ident is None:
                self._thread.start()
        self._inbox.put(work)
        return future

    def attempts(self, key: str) -> int:
        """See `Pool.attempts`."""
        return self._scheduler.attempts(key)

    def forget(self, key: str) -> None:
        """See `Pool.forget`."""
        with self._lock:
            self._outcomes.pop(key, None)
        self._scheduler.forget(key)

    @property
    def stats(self) -> Stats:
        """See `Pool.stats`."""
        return self._scheduler.stats

    def drain(self) -> None:
        """See `Pool.drain`."""
        self._leave(math.inf)

    def stop(self) -> None:
        """See `Pool.stop`."""
        self._leave(GRACE)

    def close(self) -> None:
        """See `Pool.close`."""
        self._leave(0.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _leave(self, grace: float) -> None:
        with self._lock:
            self._grace = grace if self._grace is None else min(grace, self._grace)
            if self._thread.ident is None:
                self._ended = True
                return
        self._inbox.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        patience, error = _LEAVE, None
        try:
            if self._loop():
                patience = _LEAVE_IN_PEACE
        except Exception as defect:
            _log.exception("the pool's scheduler failed")
            error = TroupeError(f"the pool's scheduler failed: {defect!r}. This is a defect; please report it")
        with self._lock:
            self._ended = True
        for key in list(self._futures):
            self._finish(key, None, error or _cancelled(key))
        if self._transport and not self._transport.close(patience):
            _log.warning("the pool left something that still runs; it goes when it is done, or with this process")

    def _loop(self) -> bool:
        """Work until asked to stop; returns whether everything was done by then."""
        scheduler = self._scheduler
        while True:
            self._listen()
            if self._stop_event and self._stop_event.is_set() and self._grace is None:
                self._grace = GRACE
            if self._grace is not None:
                break
            self._carry_out(scheduler.decide(self._clock.now()))
        complete = not self._futures
        asked = self._clock.now()
        scheduler.stop()
        hurry = self._grace < math.inf
        while scheduler.busy and self._clock.now() < asked + self._grace:
            self._carry_out(scheduler.decide(self._clock.now()))
            self._listen()
            if not hurry and (self._grace < math.inf or (self._stop_event and self._stop_event.is_set())):
                # Asked to stop while it drained: the grace begins now.
                hurry, asked, self._grace = True, self._clock.now(), min(self._grace, GRACE)
        scheduler.end()
        self._carry_out(scheduler.decide(self._clock.now()))
        return complete

    def _listen(self) -> None:
        """Take in what has arrived; wait for it, but not beyond what is due."""
        for message in self._messages():
            if isinstance(message, WorkItem):
                self._scheduler.add(message)
            elif message is not None:
                self._scheduler.take(message, self._clock.now())

    def _messages(self) -> Iterator[WorkItem | Event | None]:
        """What has come in; waits for it, but not beyond what is due."""
        due = self._scheduler.wake()
        timeout = _TICK if due is None else min(_TICK, max(0.0, due - self._clock.now()))
        try:
            yield self._inbox.get(timeout=timeout)
            while True:
                yield self._inbox.get_nowait()
        except Empty:
            return

    def _carry_out(self, commands: Sequence[Command | Finish]) -> None:
        for order in commands:
            if isinstance(order, Finish):
                self._finish(order.key, order.result, order.error)
                continue
            if isinstance(order, Start) and self._transport is None:
                self._transport = self._connect(self._inbox.put)
            if self._transport:
                self._transport.do(order)

    def _finish(self, key: str, result: Any, error: TroupeError | None) -> None:
        with self._lock:
            self._outcomes[key] = (result, error)
            future = self._kept[key] = self._futures.pop(key)
        _resolve(future, result, error)


def _future() -> Future[Any]:
    """One that cannot be cancelled by itself, as the scheduler could not be told."""
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
