"""Ctrl-C, SIGTERM and a closed terminal as an event that work checks, instead of an exception in the middle of it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["SIGNALS", "stoppable"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Sent to a whole process group: by Ctrl-C, by Prefect's worker and `timeout`, by a terminal that is closed."""

_current: threading.Event | None = None


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """An event that the first SIGINT, SIGTERM or SIGHUP sets; the second does what it did before.

    A signal that is ignored stays ignored: `nohup` does that to SIGHUP, a script to SIGINT of what it starts by `&`.

    Inside of another `stoppable` it is the same event: a command is stoppable from its first moment on, and the flow
    in it again, because Prefect's engine has handlers of its own in between.

    Outside of the main thread, where Python allows no handlers, nobody sets the event.
    """
    global _current
    if threading.current_thread() is not threading.main_thread():
        yield threading.Event()
        return
    outer, stop = _current, _current or threading.Event()
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    before = {number: handler for number, handler in handlers.items() if handler is not signal.SIG_IGN}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set() and callable(handler := before[signal.Signals(number)]):
            handler(number, frame)
        stop.set()
        restore()

    for number in before:
        signal.signal(number, handle)
    _current = stop
    try:
        yield stop
    finally:
        _current = outer
        restore()
