"""Ctrl-C and SIGTERM as an event that work looks at, instead of an exception in the middle of it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["stoppable"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM sets; the second does what it did before.

    Outside of the main thread, where Python allows no handlers, nobody sets the event.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(_: int, __: FrameType | None) -> None:
        stop.set()
        restore()

    for number in SIGNALS:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        restore()
