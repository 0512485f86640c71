"""Time spent per stage of a job."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["Stopwatch"]

T = TypeVar("T")


class Stopwatch:
    """Seconds per stage. Stages may be re-entered and nested; time counts for the innermost stage only.

    >>> watch = Stopwatch()
    >>> with watch("decode"):
    ...     pass
    >>> list(watch.seconds)
    ['decode']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._running: list[str] = []
        self._started = 0.0

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count the time inside the `with` block to `stage`."""
        self._record()
        self._running.append(stage)
        try:
            yield
        finally:
            self._record()
            self._running.pop()

    def each(self, stage: str, items: Iterable[T]) -> Iterator[T]:
        """Yield `items`; the time to produce each one counts to `stage`, the time spent by the consumer does not.

        Closing the returned generator closes `items`.
        """
        source = iter(items)
        try:
            while True:
                with self(stage):
                    try:
                        item = next(source)
                    except StopIteration:
                        return
                yield item
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()

    def _record(self) -> None:
        now = time.perf_counter()
        if self._running:
            stage = self._running[-1]
            self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._started
        self._started = now
