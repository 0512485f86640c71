"""Blocking calls, such as reads of the store, in a bounded number of threads and with a time limit."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

from troupe.errors import StoreError

__all__ = ["BoundedCalls"]

P = ParamSpec("P")
T = TypeVar("T")


class BoundedCalls:
    """Daemon threads that make calls: calls that hang neither add threads nor delay the end of the process.

    Args:
        threads: number of threads, and so of calls at a time.
        timeout: seconds within which a call has to return, its wait for a thread included.
    """

    def __init__(self, threads: int = 12, timeout: float = 15.0) -> None:
        self._timeout = timeout
        self._waiting: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        for number in range(threads):
            threading.Thread(target=self._serve, name=f"review-{number}", daemon=True).start()

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the call returns.

        Raises:
            StoreError: it took too long. It may still be running, and its result is dropped.
        """
        future: Future[T] = Future()
        self._waiting.put((future, lambda: call(*args, **kwargs)))
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise StoreError(f"the store has not answered for {self._timeout:g} s; check it and try again") from error

    def _serve(self) -> None:
        while True:
            future, call = self._waiting.get()
            if not future.set_running_or_notify_cancel():
                continue  # nobody waits for it any more
            try:
                result = call()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
            del future, call
