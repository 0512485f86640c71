"""Progress of runs and trainings: bars on a terminal, plain lines elsewhere, nothing unless a listener is set."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

from rich.console import Console

from flows.observe.display import BarDisplay, Display, LineDisplay
from flows.observe.job_control import shows_bars
from tasks.run.listener import Listener
from troupe.errors import SettingsError
from troupe.progress import Progress
from troupe.wording import counted

__all__ = [
    "Listeners",
    "RunProgress",
    "TrainingProgress",
    "configured_listener",
    "console_export_progress",
    "console_listener",
    "console_training_progress",
    "console_waiting",
    "current_listener",
    "current_training_progress",
    "has_listener",
    "use_listener",
]

SHOWN_ITEMS = 3
"""Number of items whose progress is shown at a time."""
WORKING_SECONDS = 5.0
"""Seconds after which an item that reports nothing is no longer shown."""
LINE_SECONDS = 10.0
"""Least seconds between two lines of a training or an export."""


class RunProgress:
    """Listener that displays the jobs of a run, the progress within them, their frame rate and their errors.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, display: Display, clock: Callable[[], float] = time.monotonic) -> None:
        self._display, self._clock, self._lock = display, clock, threading.Lock()
        self._jobs = self._done = self._frames = 0
        self._started = clock()
        self._working: dict[str, tuple[float, Progress]] = {}

    def note(self, text: str) -> None:
        """Show a line of text."""
        self._display.note(text)

    def started(self, jobs: int) -> None:
        """Start counting jobs."""
        self._jobs, self._started = jobs, self._clock()
        self._display.start("animating", jobs, "job" if jobs == 1 else "jobs")

    def working(self, progress: Progress) -> None:
        """Show the progress of what was reported in the last seconds."""
        with self._lock:
            now = self._clock()
            self._working[progress.item] = (now, progress)
            self._show_working(now)

    def finished(self, row: Mapping[str, Any]) -> None:
        """Count a job that ended; a cancelled one did not."""
        with self._lock:
            self._done += row["status"] != "cancelled"
            # Only this run's own frames have a rate: `attempts` is empty for films that existed before, and nothing is
            # denoised for films whose picture exists, or is another job's too.
            rendered = row["status"] == "done" and row["attempts"] and row["seconds_denoise"]
            self._frames += (row["frames"] or 0) if rendered else 0
            rate = self._frames / max(self._clock() - self._started, 1e-9)
            result = counted(row["frames"] or 0, "frame") if row["error"] is None else row["error"]
            at_rate = f" ({rate:.1f} frames/s)" if rendered else ""
            self._working.pop(row["job_id"], None)
            self._show_working(self._clock())
            self._display.update(
                self._done,
                f"{counted(self._frames, 'frame')}, {rate:.1f}/s" if self._frames else "",
                f"{self._done}/{self._jobs} {row['job_id']}: {row['status']}, {result}{at_rate}",
                important=row["status"] == "failed",
            )

    def _show_working(self, now: float) -> None:
        # Ended items and dead workers report nothing any more.
        self._working = {item: each for item, each in self._working.items() if now - each[0] < WORKING_SECONDS}
        shown = [str(progress) for _, progress in self._working.values()]
        more = [f"and {len(shown) - SHOWN_ITEMS} more"] if len(shown) > SHOWN_ITEMS else []
        self._display.working("; ".join(shown[:SHOWN_ITEMS] + more))


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

    def started(self, part: str, steps: int) -> None:
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

    def started(self, jobs: int) -> None:
        """Pass the number of jobs on."""
        for each in self._listeners:
            each.started(jobs)

    def working(self, progress: Progress) -> None:
        """Pass the progress on."""
        for each in self._listeners:
            each.working(progress)

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
        with LineDisplay(console) as lines:
            yield RunProgress(lines)


@contextmanager
def console_waiting(console: Console, text: str) -> Iterator[None]:
    """Display on the console what the `with` block does: beside a bar on a terminal, elsewhere as a line every 10 s."""
    bars = shows_bars(console)
    with BarDisplay(console, transient=True, waiting=text) if bars else LineDisplay(console) as display:
        display.working("" if bars else text)
        yield


@contextmanager
def console_export_progress(console: Console) -> Iterator[Callable[[int, int], None]]:
    """Display an export on the console; yields what takes the number of videos that are done, and of all."""
    bars = shows_bars(console)
    with BarDisplay(console, transient=True) if bars else LineDisplay(console, LINE_SECONDS) as display:

        def on_progress(done: int, total: int) -> None:
            if done == 0:
                display.start("exporting", total, "video" if total == 1 else "videos")
            else:
                display.update(done, "", f"{done}/{total} videos")

        yield on_progress


@contextmanager
def console_training_progress(console: Console) -> Iterator[TrainingProgress]:
    """Display a training on the console, as bars on a terminal and as lines elsewhere."""
    if shows_bars(console):
        with BarDisplay(console, transient=False) as bars:
            yield TrainingProgress(bars)
    else:
        with LineDisplay(console, LINE_SECONDS) as lines:
            yield TrainingProgress(lines)
