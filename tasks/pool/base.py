"""A pool: what callers see, and the thread that joins scheduler and transport."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from random import Random
from types import TracebackType
from typing import Any, Protocol, Self

from tasks.pool.messages import Event, Finish, Order, Start
from tasks.pool.scheduler import Scheduler
from tasks.pool.transport import Post, Transport
from tasks.pool.work import Role, Stats, Work
from troupe.errors import Cancelled, TroupeError

__all__ = ["Pool", "ThreadedPool"]

GRACE = 2.0
"""Seconds that running works have to end by themselves after `stop`."""

_LEAVE = 1.5
"""Seconds that the transport has to leave, after that; then it is left to itself."""

_TICK = 0.25
"""Seconds after which the stop event is looked at even if nothing happens."""

_log = logging.getLogger(__name__)


class Pool(Protocol):
    """Workers that do what is submitted."""

    def submit(self, work: Work) -> Future[Any]:
        """Have a work done; the Future gives what the method returned, or raises a TroupeError.

        A key submitted again gives the same Future, also when it is done. The Future cannot be cancelled by
        itself. After the pool has stopped, it raises Cancelled.

        Raises:
            ValueError: there is no such role, or a need that was not submitted before.
        """

    def attempts(self, key: str) -> int:
        """How often a work was given to a worker; 0 if it never was."""

    @property
    def stats(self) -> Stats:
        """What was counted so far."""

    def stop(self) -> None:
        """End within seconds: nothing begins, what runs has a short grace, what is not done raises Cancelled."""

    def close(self) -> None:
        """End now. Wait for the Futures first: what is not done raises Cancelled."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


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
        self._inbox: SimpleQueue[Work | Event | None] = SimpleQueue()
        self._futures: dict[str, Future[Any]] = {}
        self._stop_event = stop
        self._grace: float | None = None
        self._ended = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)

    def submit(self, work: Work) -> Future[Any]:
        """See `Pool.submit`."""
        with self._lock:
            if future := self._futures.get(work.key):
                return future
            if work.role not in self._roles:
                raise ValueError(f"{work.key}: there is no role {work.role!r}, only {', '.join(sorted(self._roles))}")
            if unknown := [need for need in work.needs if need not in self._futures]:
                raise ValueError(f"{work.key}: it needs {', '.join(unknown)}, which was not submitted before")
            future = self._futures[work.key] = Future()
            # A running Future refuses `cancel()`: the scheduler could not be told.
            future.set_running_or_notify_cancel()
            if self._ended:
                future.set_exception(_cancelled(work.key))
                return future
            if self._thread.ident is None:
                self._thread.start()
        self._inbox.put(work)
        return future

    def attempts(self, key: str) -> int:
        """See `Pool.attempts`."""
        return self._scheduler.attempts(key)

    @property
    def stats(self) -> Stats:
        """See `Pool.stats`."""
        return self._scheduler.stats

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
        error: TroupeError | None = None
        try:
            self._loop()
        except Exception as defect:
            _log.exception("the pool's scheduler failed")
            error = TroupeError(f"the pool's scheduler failed: {defect!r}. This is a defect; please report it")
        with self._lock:
            self._ended = True
            futures = list(self._futures.items())
        for key, future in futures:
            if not future.done():
                future.set_exception(error or _cancelled(key))
        if self._transport and not self._transport.close(_LEAVE):
            _log.warning("the pool left something that still runs; it goes when it is done, or with this process")

    def _loop(self) -> None:
        scheduler = self._scheduler
        since: float | None = None
        while True:
            for message in self._messages():
                if isinstance(message, Work):
                    scheduler.add(message)
                elif message is not None:
                    scheduler.take(message, time.monotonic())
            now = time.monotonic()
            if self._stop_event and self._stop_event.is_set() and self._grace is None:
                self._grace = GRACE
            grace = self._grace
            if grace is not None and since is None:
                since = now
                scheduler.stop()
            over = grace is not None and since is not None and (now - since >= grace or not scheduler.busy)
            if over:
                scheduler.end()
            self._carry_out(scheduler.decide(now))
            if over:
                return

    def _messages(self) -> Iterator[Work | Event | None]:
        """What has come in; waits for it, but not beyond what is due."""
        due = self._scheduler.wake()
        timeout = _TICK if due is None else min(_TICK, max(0.0, due - time.monotonic()))
        try:
            yield self._inbox.get(timeout=timeout)
            while True:
                yield self._inbox.get_nowait()
        except Empty:
            return

    def _carry_out(self, orders: Sequence[Order | Finish]) -> None:
        for order in orders:
            if isinstance(order, Finish):
                future = self._futures[order.key]
                if order.error:
                    future.set_exception(order.error)
                else:
                    future.set_result(order.result)
                continue
            if isinstance(order, Start) and self._transport is None:
                self._transport = self._connect(self._inbox.put)
            if self._transport:
                self._transport.do(order)


def _cancelled(key: str) -> Cancelled:
    return Cancelled(f"{key}: the pool was stopped before it was done")
