"""How a training tells its user where it stands: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from flows.observe.job_control import SuspendableProgress, shows_bars

__all__ = ["Quiet", "Steps", "console_steps", "stepping", "steps_of"]

EVERY = 10.0
"""Seconds between two lines."""


class Steps(Protocol):
    """Told how a training goes on."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def clip(self, done: int, of: int) -> None:
        """So many clips are prepared."""

    def begin(self, part: str, steps: int) -> None:
        """A part is going to be learned in so many steps."""

    def step(self, done: int, losses: Mapping[str, Any]) -> None:
        """So many steps are done; the last one's losses."""

    def end(self, part: str, found: Mapping[str, Any]) -> None:
        """A part is learned: seconds, losses, what was measured."""


class Quiet:
    """Tells nobody."""

    def note(self, text: str) -> None:
        """Nothing."""

    def clip(self, done: int, of: int) -> None:
        """Nothing."""

    def begin(self, part: str, steps: int) -> None:
        """Nothing."""

    def step(self, done: int, losses: Mapping[str, Any]) -> None:
        """Nothing."""

    def end(self, part: str, found: Mapping[str, Any]) -> None:
        """Nothing."""


class Lines:
    """A line now and then, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console, self._part, self._steps, self._said = console, "", 0, 0.0

    def begin(self, part: str, steps: int) -> None:
        """Say so."""
        self._part, self._steps, self._said = part, steps, time.monotonic()
        self._print(f"{part}: {steps} steps")

    def note(self, text: str) -> None:
        """Print it."""
        self._print(text)

    def clip(self, done: int, of: int) -> None:
        """Say so, if the last line is old."""
        if time.monotonic() - self._said >= EVERY or done == of:
            self._said = time.monotonic()
            self._print(f"{done} of {of} clips are prepared")

    def step(self, done: int, losses: Mapping[str, Any]) -> None:
        """Say so, if the last line is old."""
        if time.monotonic() - self._said >= EVERY:
            self._said = time.monotonic()
            self._print(
                f"{self._part} {done}/{self._steps}: loss {losses['loss']:.4g}, {losses['seconds']:.2f} s a step"
            )

    def end(self, part: str, found: Mapping[str, Any]) -> None:
        """Say so."""
        self._print(f"{part}: learned, loss {found['losses']['loss']:.4g}, {found['seconds']:.0f} s")

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


class Bar:
    """A bar for every part."""

    def __init__(self, console: Console) -> None:
        self._bar = SuspendableProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
        )
        self._task: Any = None
        self._clips: Any = None

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begin(self, part: str, steps: int) -> None:
        """A new bar."""
        self._task = self._bar.add_task(part, total=steps, loss="")

    def note(self, text: str) -> None:
        """Print it above the bar."""
        self._bar.console.print(text, highlight=False, markup=False)

    def clip(self, done: int, of: int) -> None:
        """A bar of their own."""
        if self._clips is None:
            self._clips = self._bar.add_task("clips", total=of, loss="")
        self._bar.update(self._clips, completed=done, total=of)

    def step(self, done: int, losses: Mapping[str, Any]) -> None:
        """Move it on."""
        self._bar.update(self._task, completed=done, loss=f"{losses['loss']:.4g}")

    def end(self, part: str, found: Mapping[str, Any]) -> None:
        """Fill it."""
        self._bar.update(
            self._task, completed=found["recipe"]["steps"], loss=f"{found['losses']['loss']:.4g}", description=part
        )


_steps: ContextVar[Steps] = ContextVar("steps", default=Quiet())  # noqa: B039 (it has no state)


def steps_of() -> Steps:
    """Whom a training that starts here tells."""
    return _steps.get()


@contextmanager
def stepping(to: Steps) -> Iterator[None]:
    """Trainings started inside the `with` block tell `to`."""
    token = _steps.set(to)
    try:
        yield
    finally:
        _steps.reset(token)


@contextmanager
def console_steps(console: Console) -> Iterator[Steps]:
    """What fits the console."""
    if shows_bars(console):
        with Bar(console) as bar:
            yield bar
    else:
        yield Lines(console)
