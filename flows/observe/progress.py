"""How a run tells its user what it is doing: a bar on a terminal, plain lines elsewhere, nothing for callers."""

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
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from flows.observe.job_control import SuspendableProgress, shows_bars
from troupe.errors import SettingsError

__all__ = ["Everyone", "Lines", "Listener", "Silent", "Terminal", "listener", "listening", "listening_here", "watched"]


class Listener(Protocol):
    """Told what happens in a run; called from several threads."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def begin(self, jobs: int) -> None:
        """So many jobs are going to be worked on."""

    def finished(self, row: Mapping[str, Any]) -> None:
        """A job ended: its row of the manifest."""


class Silent:
    """Tells nobody."""

    def note(self, text: str) -> None:
        """Nothing."""

    def begin(self, jobs: int) -> None:
        """Nothing."""

    def finished(self, row: Mapping[str, Any]) -> None:
        """Nothing."""


class Lines:
    """A line for everything, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console, self._lock = console, threading.Lock()
        self._jobs = self._done = self._frames = 0
        self._since = time.monotonic()

    def note(self, text: str) -> None:
        """Print it."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def begin(self, jobs: int) -> None:
        """Start counting."""
        self._jobs, self._since = jobs, time.monotonic()

    def finished(self, row: Mapping[str, Any]) -> None:
        """Print how the job ended and where the run stands."""
        with self._lock:
            self._done += 1
            self._frames += (row["frames"] or 0) if row["status"] == "done" else 0
            rate = self._frames / max(time.monotonic() - self._since, 1e-9)
            what = f"{row['frames']} frames" if row["error"] is None else row["error"]
            self.note(f"{self._done}/{self._jobs} {row['job_id']}: {row['status']}, {what} ({rate:.1f} frames/s)")


class Terminal:
    """A bar with jobs, frames, rate and time left; failures as lines above it."""

    def __init__(self, console: Console) -> None:
        self._console, self._lock = console, threading.Lock()
        self._frames, self._since = 0, time.monotonic()
        self._bar = SuspendableProgress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("jobs  {task.fields[frames]} frames  {task.fields[rate]:.1f}/s"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=None, frames=0, rate=0.0)

    def __enter__(self) -> Terminal:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def note(self, text: str) -> None:
        """Print it above the bar and show it as what is being done."""
        self._bar.console.print(text, highlight=False, markup=False)

    def begin(self, jobs: int) -> None:
        """Give the bar its length."""
        self._since = time.monotonic()
        self._bar.reset(self._task, total=jobs, description="animating", frames=0, rate=0.0)

    def finished(self, row: Mapping[str, Any]) -> None:
        """Move the bar on."""
        with self._lock:
            self._frames += (row["frames"] or 0) if row["status"] == "done" else 0
            rate = self._frames / max(time.monotonic() - self._since, 1e-9)
            self._bar.update(self._task, advance=1, frames=self._frames, rate=rate)
        if row["error"] is not None:
            self.note(f"{row['job_id']}: {row['status']}, {row['error']}")


_listener: ContextVar[Listener] = ContextVar("listener", default=Silent())  # noqa: B039 (it has no state)


def listener() -> Listener:
    """Whom a run that starts here tells."""
    return _listener.get()


def listening_here() -> bool:
    """Whether somebody is told: the command line, rather than a worker of Prefect's."""
    return not isinstance(_listener.get(), Silent)


@contextmanager
def listening(to: Listener) -> Iterator[None]:
    """Runs started inside the `with` block tell `to`."""
    token = _listener.set(to)
    try:
        yield
    finally:
        _listener.reset(token)


class Everyone:
    """Tells several listeners."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def note(self, text: str) -> None:
        """Tell them."""
        for each in self._listeners:
            each.note(text)

    def begin(self, jobs: int) -> None:
        """Tell them."""
        for each in self._listeners:
            each.begin(jobs)

    def finished(self, row: Mapping[str, Any]) -> None:
        """Tell them."""
        for each in self._listeners:
            each.finished(row)


@contextmanager
def watched(otherwise: Callable[[], AbstractContextManager[Listener]] = nullcontext) -> Iterator[Listener]:  # type: ignore[assignment]
    """The listeners that the environment asks for.

    `TROUPE_LOG=json` logs JSON instead of what is shown `otherwise`; `TROUPE_METRICS=PORT` serves numbers for
    Prometheus beside it.

    Raises:
        SettingsError: the environment asks for something else.
    """
    kind, where = os.environ.get("TROUPE_LOG", "text"), os.environ.get("TROUPE_METRICS", "")
    if kind not in ("text", "json"):
        raise SettingsError(f"TROUPE_LOG is {kind!r}; use text or json")
    with ExitStack() as stack:
        if kind == "json":
            from flows.observe.json_logs import json_logs

            listeners: list[Listener] = [stack.enter_context(json_logs())]
        else:
            listeners = [stack.enter_context(otherwise()) or Silent()]
        if where:
            from flows.observe.prometheus import metrics

            listeners.append(stack.enter_context(metrics(where)))
        yield Everyone(*listeners)


@contextmanager
def console_listener(console: Console) -> Iterator[Listener]:
    """The listener that fits the console."""
    if shows_bars(console):
        with Terminal(console) as terminal:
            yield terminal
    else:
        yield Lines(console)
