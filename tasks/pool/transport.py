"""The base class of transports, which execute the scheduler's commands."""

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

from tasks.pool.messages import Command, Event, NoWorkers
from troupe.errors import TroupeError
from troupe.progress import Progress

__all__ = ["Emit", "Transport"]

Emit: TypeAlias = Callable[[Event | Progress], None]
"""Pass an event to the scheduler, or progress to its listener; returns at once, from any thread."""

_OPEN_TIMEOUT = 0.5
"""Seconds that `close` waits for a transport that has not opened yet."""

_HEALTH_CHECK_INTERVAL = 5.0
"""Seconds between two health checks."""

_POLL_INTERVAL = 1.0
"""Seconds between two polls of the workers' progress."""

_log = logging.getLogger(__name__)


class Transport(ABC):
    """Executes commands, one after the other, on a separate thread.

    Nothing it does can block the scheduler: starting Ray takes seconds, a worker's method in this process hours.

    Args:
        emit: receives the events.
    """

    def __init__(self, emit: Emit) -> None:
        self.emit = emit
        self._commands: SimpleQueue[Command | None] = SimpleQueue()
        self._opened = threading.Event()
        self._closing = False
        self._next_health_check = time.monotonic() + _HEALTH_CHECK_INTERVAL
        self._next_poll = time.monotonic() + _POLL_INTERVAL
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)
        self._thread.start()

    def enqueue(self, command: Command) -> None:
        """Execute a command soon."""
        self._commands.put(command)

    def close(self, timeout: float) -> bool:
        """Release everything; return whether that was done within `timeout` seconds.

        Pending commands are dropped. A transport that is still opening is not waited for.
        """
        deadline = time.monotonic() + timeout
        self._closing = True
        self._commands.put(None)
        self._thread.join(min(timeout, _OPEN_TIMEOUT))
        if self._opened.is_set():
            self._thread.join(max(0.0, deadline - time.monotonic()))
        return not self._thread.is_alive()

    @abstractmethod
    def open(self) -> None:
        """Prepare to start workers; called first, on the thread.

        Raises:
            TroupeError: no worker can be started.
        """

    @abstractmethod
    def execute(self, command: Command) -> None:
        """Execute a command, on the thread."""

    @abstractmethod
    def check_health(self) -> None:
        """Check that workers can be started and that the existing ones can work; on the thread, every few seconds.

        Raises:
            TroupeError: no worker can be started any more.
        """

    @abstractmethod
    def poll_progress(self) -> None:
        """Emit the progress of the workers, where it does not come by itself; on the thread, every second."""

    @abstractmethod
    def shut_down(self) -> None:
        """Release everything; called last, on the thread."""

    def _run(self) -> None:
        try:
            try:
                self.open()
            finally:
                self._opened.set()
            while (command := self._next()) is not None:
                if not self._closing:
                    self.execute(command)
        except TroupeError as error:
            self.emit(NoWorkers(error))
        except Exception as error:
            _log.exception("the pool lost its workers")
            text = "".join(traceback.format_exception_only(error)).strip()
            self.emit(NoWorkers(TroupeError(f"the pool lost its workers: {text}; see the log for the traceback")))
        finally:
            self.shut_down()

    def _next(self) -> Command | None:
        while True:
            if time.monotonic() >= self._next_health_check:
                self.check_health()
                self._next_health_check = time.monotonic() + _HEALTH_CHECK_INTERVAL
            if time.monotonic() >= self._next_poll:
                self.poll_progress()
                self._next_poll = time.monotonic() + _POLL_INTERVAL
            left = min(self._next_health_check, self._next_poll) - time.monotonic()
            with suppress(Empty):
                return self._commands.get(timeout=max(0.0, left))
