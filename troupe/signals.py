"""Ctrl-C, SIGTERM and a closed terminal as an event to check, instead of an exception at any point."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["SIGNALS", "stoppable"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals sent to a whole process group: by Ctrl-C, by Prefect's worker and `timeout`, by a terminal that closes."""

_current: threading.Event | None = None


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """Yield an event that the first SIGINT, SIGTERM or SIGHUP sets; the second signal has its previous effect.

    An ignored signal stays ignored: `nohup` ignores SIGHUP, a script ignores SIGINT for what it starts with `&`.

    A nested `stoppable` yields the same event: a command is stoppable from its start, and its flow again, because
    Prefect's engine installs handlers in between.

    Outside the main thread, where Python allows no handlers, the event is never set.
    """
    global _current
    if threading.current_thread() is not threading.main_thread():
        yield threading.Event()
        return
    outer, stop = _current, _current or threading.Event()
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    previous = {number: handler for number, handler in handlers.items() if handler is not signal.SIG_IGN}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set() and callable(handler := previous[signal.Signals(number)]):
            handler(number, frame)
        stop.set()
        restore()

    for number in previous:
        signal.signal(number, handle)
    _current = stop
    try:
        yield stop
    finally:
        _current = outer
        restore()
