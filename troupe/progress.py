"""Progress within a work item: reported by a worker's method while it runs, bounded and lossy."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

__all__ = ["OnProgress", "Progress", "ProgressReporter", "report_each", "report_progress"]

REPORT_INTERVAL = 1.0
"""Least seconds between two reports of a work item; those in between are dropped."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running work item is.

    Attributes:
        item: name of the work item.
        stage: what its method does now, in its own words.
        done: number of units done.
        total: number of units of the stage; 0 if it is not known.
        unit: name of the units.
    """

    item: str
    stage: str
    done: int
    total: int
    unit: str

    def __str__(self) -> str:
        of_total = f"/{self.total}" if self.total >= self.done else ""
        return f"{self.item}: {self.stage} {self.done}{of_total} {self.unit}"


OnProgress: TypeAlias = Callable[[Progress], None]

_current: ContextVar[tuple[ProgressReporter, str] | None] = ContextVar("progress", default=None)


class ProgressReporter:
    """Sends the progress of a worker's items on, of each at most once per `REPORT_INTERVAL`.

    Args:
        send: receives the progress; returns at once.
        clock: seconds that only grow.
    """

    def __init__(self, send: OnProgress, clock: Callable[[], float] = time.monotonic) -> None:
        self._send, self._clock = send, clock
        self._sent_at: dict[str, float] = {}

    @contextmanager
    def reporting(self, item: str) -> Iterator[None]:
        """Send what `report_progress` reports inside the `with` block."""
        token = _current.set((self, item))
        try:
            yield
        finally:
            _current.reset(token)
            self._sent_at.pop(item, None)

    def report(self, item: str, stage: str, done: int, total: int, unit: str) -> None:
        """Send the progress, or drop it."""
        now = self._clock()
        if now - self._sent_at.get(item, -math.inf) >= REPORT_INTERVAL:
            self._sent_at[item] = now
            self._send(Progress(item, stage, done, total, unit))


def report_progress(stage: str, done: int, total: int, unit: str) -> None:
    """Report how far the work item of the current call is; cheap enough to call per frame."""
    if (current := _current.get()) is not None:
        reporter, item = current
        reporter.report(item, stage, done, total, unit)


def report_each(values: Iterable[T], stage: str, total: int, unit: str) -> Iterator[T]:
    """Yield the values, and report how many were taken."""
    for done, value in enumerate(values, 1):
        yield value
        report_progress(stage, done, total, unit)
