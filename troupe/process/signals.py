"""Ctrl-C, SIGTERM and a closed terminal as an event to check, and calls that are left behind when it is set."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

__all__ = ["SIGNALS", "call_stoppable", "map_stoppable", "stoppable"]

T = TypeVar("T")
V = TypeVar("V")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals sent to a whole process group: by Ctrl-C, by Prefect's worker and `timeout`, by a terminal that closes."""

_POLL_SECONDS = 0.1

_current: threading.Event | None = None


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """Yield an event that the first SIGINT, SIGTERM or SIGHUP sets; the second signal has its previous effect.

    SIGHUP after the first signal has no effect: a terminal that closes sends it twice, by its shell and by the kernel.

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

    def restore(numbers: Iterable[signal.Signals]) -> None:
        for number in numbers:
            signal.signal(number, previous[number])

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set() and number != signal.SIGHUP and callable(handler := previous[signal.Signals(number)]):
            handler(number, frame)
        stop.set()
        restore(previous.keys() - {signal.SIGHUP})

    for number in previous:
        signal.signal(number, handle)
    _current = stop
    try:
        yield stop
    finally:
        _current = outer
        restore(previous)


def call_stoppable(call: Callable[[], T], raise_if_cancelled: Callable[[], None]) -> T:
    """Return `call()`; see `map_stoppable`."""
    return map_stoppable(lambda _: call(), (None,), raise_if_cancelled)[0]


def map_stoppable(
    function: Callable[[V], T],
    values: Iterable[V],
    raise_if_cancelled: Callable[[], None] = lambda: None,
    threads: int = 8,
) -> list[T]:
    """Return the function's result for each value, in order, computed in parallel.

    A server or disk that does not respond holds a thread for minutes. When the work is stopped, such threads are left
    behind, and do not keep the process from ending, as those of `ThreadPoolExecutor` do.

    Args:
        raise_if_cancelled: called often; stops the work by raising.

    Raises:
        Exception: the first that the function raised; no further values are begun then.
    """
    todo = list(enumerate(values))
    results: dict[int, T] = {}
    errors: list[BaseException] = []
    waiting, lock, ended = iter(todo), threading.Lock(), threading.Event()
    running = min(threads, len(todo))
    stopped = running == 0

    def work() -> None:
        nonlocal running
        while True:
            with lock:
                entry = None if stopped or errors else next(waiting, None)
            if entry is None:
                break
            place, value = entry
            try:
                results[place] = function(value)
            except BaseException as error:
                errors.append(error)
        with lock:
            running -= 1
            if not running:
                ended.set()

    for _ in range(running):
        threading.Thread(target=work, daemon=True).start()
    try:
        while not stopped and not ended.wait(_POLL_SECONDS):
            raise_if_cancelled()
    finally:
        stopped = True
    if errors:
        raise errors[0]
    return [results[place] for place, _ in todo]
