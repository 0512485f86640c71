"""Displays of a task that consists of stages: as bars on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol, Self

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from flows.observe.job_control import SuspendableProgress

__all__ = ["BarDisplay", "Display", "LineDisplay"]

SILENCE_SECONDS = 10.0
"""Most seconds without a line."""


class Display(Protocol):
    """Shows a task that consists of stages."""

    def note(self, text: str) -> None:
        """Show a line of text."""

    def start(self, stage: str, total: int, unit: str) -> None:
        """Start a stage of `total` units."""

    def working(self, text: str) -> None:
        """Show what is being done now."""

    def update(self, done: int, detail: str, line: str, *, important: bool = False) -> None:
        """Show how far the stage is.

        Args:
            detail: text beside a bar.
            line: the same state as a line of text.
            important: whether to show the line even beside a bar.
        """


class LineDisplay:
    """Display as plain lines, for logs and pipes. As a context manager, it prints a line at least every 10 s.

    Args:
        interval: least seconds between two lines of a stage.
        clock: seconds that only grow.
    """

    def __init__(self, console: Console, interval: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._interval, self._clock = console, interval, clock
        self._began = self._printed_at = clock()
        self._done = self._total = 0
        self._unit = self._working = ""
        self._closing = threading.Event()
        self._ticker = threading.Thread(target=self._tick_until_closed, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._ticker.join()

    def note(self, text: str) -> None:
        """Print the text."""
        self._working = text
        self._print(text)

    def start(self, stage: str, total: int, unit: str) -> None:
        """Print the stage's name and size."""
        self._done, self._total, self._unit = 0, total, unit
        self.note(f"{stage}: {total} {unit}")

    def working(self, text: str) -> None:
        """Remember the text for the next line that is due."""
        self._working = text

    def update(self, done: int, detail: str, line: str, *, important: bool = False) -> None:  # noqa: ARG002
        """Print the line, unless the last one is recent."""
        self._done = done
        if important or done == self._total or self._clock() - self._printed_at >= self._interval:
            self._print(line)

    def tick(self) -> None:
        """Print what is being done if there was no line for long."""
        now = self._clock()
        if now - self._printed_at >= SILENCE_SECONDS:
            done = f"{self._done}/{self._total} {self._unit}, " if self._unit else ""
            self._print(f"{done}{now - self._began:.0f} s: {self._working}")

    def _print(self, text: str) -> None:
        self._printed_at = self._clock()
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _tick_until_closed(self) -> None:
        while not self._closing.wait(1.0):
            with suppress(OSError, ValueError):  # the reader may be gone, which the next line of a stage reports
                self.tick()


class BarDisplay:
    """Display as one progress bar per stage, with time and time left; below it, what is being done now.

    Args:
        transient: whether the bars disappear at the end.
        waiting: what is being done until the first stage starts.
    """

    def __init__(self, console: Console, *, transient: bool, waiting: str = "starting") -> None:
        # On a narrow terminal the bar shrinks, and the numbers stay.
        self._bars = _Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(table_column=Column(no_wrap=False)),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True, table_column=Column(no_wrap=True)),
            console=console,
            transient=transient,
        )
        self._stage: TaskID | None = None
        self._starting: TaskID | None = self._bars.add_task(waiting, total=None, unit="")

    def __enter__(self) -> BarDisplay:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.below = ("", "")
        self._bars.stop()

    def note(self, text: str) -> None:
        """Print the text above the bars."""
        self._bars.console.print(text, highlight=False, markup=False)

    def start(self, stage: str, total: int, unit: str) -> None:
        """Add a bar."""
        if self._starting is not None:
            self._bars.remove_task(self._starting)
            self._starting = None
        self._stage = self._bars.add_task(stage, total=total, unit=unit)

    def working(self, text: str) -> None:
        """Show the text below the bars."""
        self._bars.below = (self._bars.below[0], text)

    def update(self, done: int, detail: str, line: str, *, important: bool = False) -> None:
        """Move the bar of the stage."""
        if self._stage is not None:
            self._bars.update(self._stage, completed=done)
            self._bars.below = (detail, self._bars.below[1])
        if important:
            self.note(line)


class _Bars(SuspendableProgress):
    """Bars with a line of text below them, cut to the terminal's width."""

    below: tuple[str, str] = ("", "")

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if text := "  ".join(part for part in self.below if part):
            yield Text(f"  {text}", no_wrap=True, overflow="ellipsis", style="dim")
