"""Blocking calls, such as reads of the store, in a bounded number of threads and with a time limit."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, ParamSpec, TypeAlias, TypeVar

from troupe.errors import StoreError

__all__ = ["BoundedCalls"]

P = ParamSpec("P")
T = TypeVar("T")
_Call: TypeAlias = tuple[Future[Any], Callable[[], Any]]


class BoundedCalls:
    """Daemon threads that make calls: calls that hang neither add threads nor delay the end of the process.

    A call goes to the thread that was busy last, so that one reviewer's calls share a thread, and with it the memory
    that allocators keep for each thread.

    Args:
        threads: number of threads, and so of calls at a time; started when they are needed.
        timeout: seconds within which a call has to return, its wait for a thread included.
    """

    def __init__(self, threads: int = 12, timeout: float = 15.0) -> None:
        self._most, self._timeout = threads, timeout
        self._lock = threading.Lock()
        self._waiting: deque[_Call] = deque()
        self._idle: list[queue.SimpleQueue[_Call]] = []
        self._threads = 0

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the call returns.

        Raises:
            StoreError: it took too long. It may still be running, and its result is dropped.
        """
        future: Future[T] = Future()
        self._give((future, lambda: call(*args, **kwargs)))
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise StoreError(f"the store has not answered for {self._timeout:g} s; check it and try again") from error

    def _give(self, call: _Call) -> None:
        with self._lock:
            if self._idle:
                self._idle.pop().put(call)
            elif self._threads < self._most:
                self._threads += 1
                name = f"review-{self._threads}"
                threading.Thread(target=self._serve, args=(call,), name=name, daemon=True).start()
            else:
                self._waiting.append(call)

    def _serve(self, first: _Call) -> None:
        mine: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        mine.put(first)
        del first
        while True:
            future, call = mine.get()
            deliver: Callable[[], None] = _nothing  # nobody waits for it any more
            if future.set_running_or_notify_cancel():
                try:
                    deliver = partial(future.set_result, call())
                except BaseException as error:
                    deliver = partial(future.set_exception, error)
            # Before the caller hears of it, so that its next call comes to this thread.
            with self._lock:
                if self._waiting:
                    mine.put(self._waiting.popleft())
                else:
                    self._idle.append(mine)
            deliver()
            del future, call, deliver


def _nothing() -> None: ...
