"""The command `troupe`.

Nothing heavy is imported before a command runs: `--help` answers without torch, Ray and Prefect.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from flows.cli import catalog, delivery, demo, doctor, evaluate, plan, report, run, runs, train, weights
from flows.cli.console import print_error
from troupe import __version__
from troupe.errors import Cancelled, TroupeError
from troupe.terminal import private_terminal

__all__ = ["app", "main"]

REFUSED = 2
STOPPED = 130


class Commands(TyperGroup):
    """Runs a command; what troupe raises on purpose ends it with a message and an exit code, not with a trace."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the context names."""
        try:
            return super().invoke(ctx)
        except TroupeError as error:
            print_error(str(error))
            raise typer.Exit(STOPPED if isinstance(error, Cancelled) else REFUSED) from None
        except typer.Abort as abort:
            if not isinstance(abort.__context__, KeyboardInterrupt):  # a question was answered with no
                raise
            print_error("stopped before the question was answered")
            raise typer.Exit(STOPPED) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"troupe {__version__}")
        raise typer.Exit


@app.callback()
def troupe(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """One cast of portraits, many performances: make portraits act driving clips.

    First steps:

    - `troupe doctor`
    - `troupe weights pull weights`
    - `troupe run --portraits faces --drivings clips --weights weights --preview 2s`
    """


app.command()(run.run)
app.command()(plan.plan)
app.command()(runs.runs)
app.command()(runs.retry)
app.command()(demo.demo)
app.add_typer(catalog.app, name="catalog")
app.command()(report.report)
app.command()(evaluate.evaluate)
app.command()(train.train)
app.command()(delivery.export)
app.command()(delivery.forget)
app.add_typer(weights.app, name="weights")
app.command()(doctor.doctor)


def main() -> None:
    """Entry point."""
    private_terminal()
    try:
        app(prog_name="troupe")
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise
        _leave(end.code or 0)


def _leave(code: int) -> NoReturn:
    """End the process as Python does, but for taking apart what was imported: after a run that is a second of work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command has ended, and its exit code is fixed
    threads: Any = threading
    threads._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # whoever read it may be gone
            stream.flush()
    os._exit(code)
