"""What carries out a scheduler's orders."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeAlias

from tasks.pool.messages import Broken, Command, Event
from troupe.errors import TroupeError

__all__ = ["Post", "Transport"]

Post: TypeAlias = Callable[[Event], None]
"""Tells the scheduler what happened; returns at once, from any thread."""

_UNREADY = 0.5
"""Seconds."""

_LOOK = 5.0
"""Seconds between two looks at whether workers can still be had, and work."""

_log = logging.getLogger(__name__)


class Transport(ABC):
    """Carries out orders, one after the other, on a thread of its own.

    Nothing it does can hold up the scheduler: starting Ray takes seconds, a worker's method in this process hours.

    Args:
        post: where the answers go.
    """

    def __init__(self, post: Post) -> None:
        self.post = post
        self._commands: SimpleQueue[Command | None] = SimpleQueue()
        self._opened = threading.Event()
        self._leaving = False
        self._look_at = time.monotonic() + _LOOK
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)
        self._thread.start()

    def do(self, order: Command) -> None:
        """Carry out an order soon."""
        self._commands.put(order)

    def close(self, timeout: float) -> bool:
        """Release everything; returns whether that was done within `timeout` seconds.

        Orders that were not begun are not carried out, and one that is still getting ready is not waited for.
        """
        deadline = time.monotonic() + timeout
        self._leaving = True
        self._commands.put(None)
        self._thread.join(min(timeout, _UNREADY))
        if self.ready:
            self._thread.join(max(0.0, deadline - time.monotonic()))
        return not self._thread.is_alive()

    @property
    def ready(self) -> bool:
        """Whether `open` has returned, or is about to."""
        return self._opened.is_set()

    @abstractmethod
    def open(self) -> None:
        """Get ready; the first thing that happens on the thread.

        Raises:
            TroupeError: no worker can be had.
        """

    @abstractmethod
    def carry_out(self, order: Command) -> None:
        """Do what an order says, on the thread."""

    @abstractmethod
    def look(self) -> None:
        """Check that workers can still be had, and that those there are can work; on the thread, every few seconds.

        Raises:
            TroupeError: none can be had.
        """

    @abstractmethod
    def release(self) -> None:
        """Leave nothing behind; the last thing that happens on the thread."""

    def _run(self) -> None:
        try:
            try:
                self.open()
            finally:
                self._opened.set()
            while (order := self._next()) is not None:
                if not self._leaving:
                    self.carry_out(order)
        except TroupeError as error:
            self.post(Broken(error))
        except Exception as error:
            _log.exception("the pool's workers are out of reach")
            text = "".join(traceback.format_exception_only(error)).strip()
            self.post(Broken(TroupeError(f"the pool's workers are out of reach: {text}; the log says more")))
        finally:
            self.release()

    def _next(self) -> Command | None:
        while True:
            if (left := self._look_at - time.monotonic()) <= 0:
                self.look()
                self._look_at = time.monotonic() + _LOOK
                continue
            with suppress(Empty):
                return self._commands.get(timeout=left)
