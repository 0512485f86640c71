"""Progress of runs and trainings: bars on a terminal, plain lines elsewhere, nothing unless a listener is set."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from flows.observe.job_control import SuspendableProgress, shows_bars
from tasks.run.outcomes import Listener
from troupe.errors import SettingsError

__all__ = [
    "Listeners",
    "RunProgress",
    "TrainingProgress",
    "configured_listener",
    "console_listener",
    "console_training_progress",
    "current_listener",
    "current_training_progress",
    "has_listener",
    "use_listener",
]

TRAINING_LINE_SECONDS = 10.0
"""Least seconds between two lines of a training."""


class Display(Protocol):
    """Shows a task that consists of stages."""

    def note(self, text: str) -> None:
        """Show a line of text."""

    def start(self, stage: str, total: int, unit: str) -> None:
        """Start a stage of `total` units."""

    def update(self, done: int, detail: str, line: str, *, important: bool = False) -> None:
        """Show how far the stage is.

        Args:
            detail: text beside a bar.
            line: the same state as a line of text.
            important: whether to show the line even beside a bar.
        """


class LineDisplay:
    """Display as plain lines, for logs and pipes.

    Args:
        interval: least seconds between two lines of a stage.
    """

    def __init__(self, console: Console, interval: float = 0.0) -> None:
        self._console, self._interval = console, interval
        self._total, self._printed_at = 0, 0.0

    def note(self, text: str) -> None:
        """Print the text."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def start(self, stage: str, total: int, unit: str) -> None:
        """Print the stage's name and size."""
        self._total, self._printed_at = total, time.monotonic()
        self.note(f"{stage}: {total} {unit}")

    def update(self, done: int, detail: str, line: str, *, important: bool = False) -> None:  # noqa: ARG002
        """Print the line, unless the last one is recent."""
        now = time.monotonic()
        if important or done == self._total or now - self._printed_at >= self._interval:
            self._printed_at = now
            self.note(line)


class BarDisplay:
    """Display as one progress bar per stage, with time and time left.

    Args:
        transient: whether the bars disappear at the end.
    """

    def __init__(self, console: Console, *, transient: bool) -> None:
        self._bars = SuspendableProgress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}  {task.fields[detail]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            transient=transient,
        )
        self._stage: TaskID | None = None
        self._starting: TaskID | None = self._bars.add_task("starting", total=None, unit="", detail="")

    def __enter__(self) -> BarDisplay:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def note(self, text: str) -> None:
        """Print the text above the bars."""
        self._bars.console.print(text, highlight=False, markup=False)

    def start(self, stage: str, total: int, unit: str) -> None:
        """Add a bar."""
        if self._starting is not None:
            self._bars.remove_task(self._starting)
            self._starting = None
        self._stage = self._bars.add_task(stage, total=total, unit=unit, detail="")

    def update(self, done: int, detail: str, line: str, *, important: bool = False) -> None:
        """Move the bar of the stage."""
        if self._stage is not None:
            self._bars.update(self._stage, completed=done, detail=detail)
        if important:
            self.note(line)


class RunProgress:
    """Listener that displays the jobs, frames and frame rate of a run, and the errors of failed jobs."""

    def __init__(self, display: Display) -> None:
        self._display, self._lock = display, threading.Lock()
        self._jobs = self._done = self._frames = 0
        self._started = time.monotonic()

    def note(self, text: str) -> None:
        """Show a line of text."""
        self._display.note(text)

    def begin(self, jobs: int) -> None:
        """Start counting jobs."""
        self._jobs, self._started = jobs, time.monotonic()
        self._display.start("animating", jobs, "jobs")

    def finished(self, row: Mapping[str, Any]) -> None:
        """Count a job that ended."""
        with self._lock:
            self._done += 1
            self._frames += (row["frames"] or 0) if row["status"] == "done" else 0
            rate = self._frames / max(time.monotonic() - self._started, 1e-9)
            result = f"{row['frames']} frames" if row["error"] is None else row["error"]
            self._display.update(
                self._done,
                f"{self._frames} frames  {rate:.1f}/s",
                f"{self._done}/{self._jobs} {row['job_id']}: {row['status']}, {result} ({rate:.1f} frames/s)",
                important=row["error"] is not None,
            )


class TrainingProgress:
    """Displays the steps and losses of a training, part by part."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._stage, self._steps = "", 0

    def note(self, text: str) -> None:
        """Show a line of text."""
        self._display.note(text)

    def clip(self, done: int, total: int) -> None:
        """Count a prepared clip."""
        if self._stage != "clips":
            self._stage = "clips"
            self._display.start("preparing", total, "clips")
        self._display.update(done, "", f"{done} of {total} clips prepared")

    def begin(self, part: str, steps: int) -> None:
        """Start a part."""
        self._stage, self._steps = part, steps
        self._display.start(part, steps, "steps")

    def step(self, done: int, losses: Mapping[str, Any]) -> None:
        """Show the losses of a step."""
        loss = f"loss {losses['loss']:.4g}"
        self._display.update(
            done, loss, f"{self._stage} {done}/{self._steps}: {loss}, {losses['seconds']:.2f} s per step"
        )

    def end(self, part: str, result: Mapping[str, Any]) -> None:
        """Show the result of a trained part."""
        loss = f"loss {result['losses']['loss']:.4g}"
        self._display.update(self._steps, loss, f"{part}: trained, {loss}, {result['seconds']:.0f} s")


class Listeners:
    """Listener that passes every event on to other listeners; without any, a run is silent."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def note(self, text: str) -> None:
        """Pass the text on."""
        for each in self._listeners:
            each.note(text)

    def begin(self, jobs: int) -> None:
        """Pass the number of jobs on."""
        for each in self._listeners:
            each.begin(jobs)

    def finished(self, row: Mapping[str, Any]) -> None:
        """Pass the row on."""
        for each in self._listeners:
            each.finished(row)


_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)
_training_progress: ContextVar[TrainingProgress | None] = ContextVar("training_progress", default=None)


def has_listener() -> bool:
    """Return whether a listener is set, as by the command line; a Prefect worker sets none."""
    return _listener.get() is not None


def current_listener() -> Listener:
    """Return the listener of runs that start here, a silent one by default."""
    return _listener.get() or Listeners()


def current_training_progress() -> TrainingProgress:
    """Return the progress of trainings that start here, a silent one by default."""
    return _training_progress.get() or TrainingProgress(LineDisplay(Console(quiet=True)))


@contextmanager
def use_listener(listener: Listener | TrainingProgress) -> Iterator[None]:
    """Set the listener of runs, or the progress of trainings, that start inside the `with` block."""
    variable: ContextVar[Any] = _training_progress if isinstance(listener, TrainingProgress) else _listener
    token = variable.set(listener)
    try:
        yield
    finally:
        variable.reset(token)


@contextmanager
def configured_listener(
    default: Callable[[], AbstractContextManager[Listener | None]] = nullcontext,
) -> Iterator[Listener]:
    """Open the listeners that the environment configures.

    `TROUPE_LOG=json` logs JSON lines in place of `default`; `TROUPE_METRICS=PORT` also serves metrics for Prometheus.

    Raises:
        SettingsError: a variable is invalid.
    """
    log_format, metrics_address = os.environ.get("TROUPE_LOG", "text"), os.environ.get("TROUPE_METRICS", "")
    if log_format not in ("text", "json"):
        raise SettingsError(f"invalid TROUPE_LOG={log_format}; use text or json")
    with ExitStack() as stack:
        if log_format == "json":
            from flows.observe.json_logs import json_logs

            opened: list[Listener | None] = [stack.enter_context(json_logs())]
        else:
            opened = [stack.enter_context(default())]
        if metrics_address:
            from flows.observe.prometheus import metrics

            opened.append(stack.enter_context(metrics(metrics_address)))
        yield Listeners(*(each for each in opened if each is not None))


@contextmanager
def console_listener(console: Console) -> Iterator[Listener]:
    """Display a run on the console, as a bar on a terminal and as lines elsewhere."""
    if shows_bars(console):
        with BarDisplay(console, transient=True) as bars:
            yield RunProgress(bars)
    else:
        yield RunProgress(LineDisplay(console))


@contextmanager
def console_training_progress(console: Console) -> Iterator[TrainingProgress]:
    """Display a training on the console, as bars on a terminal and as lines elsewhere."""
    if shows_bars(console):
        with BarDisplay(console, transient=False) as bars:
            yield TrainingProgress(bars)
    else:
        yield TrainingProgress(LineDisplay(console, TRAINING_LINE_SECONDS))
