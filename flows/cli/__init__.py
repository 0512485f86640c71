"""The command `troupe`.

Heavy packages are imported when a command runs: `--help` loads neither torch nor Ray nor Prefect.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections import Counter
from contextlib import suppress
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from catalogs.store.uris import redacted_text
from flows.cli import demo, doctor, evaluate, events, plan, run, runs, train, weights
from flows.cli.console import print_error, stderr
from flows.cli.options import ExitCode
from flows.cli.provenance import audit, consent, credentials, forget, policy, verify
from flows.cli.results import catalog, export, report, review
from flows.server.proxy import bypass_proxies_on_loopback
from troupe import __version__
from troupe.errors import Cancelled, TroupeError
from troupe.process.memory import limit_arenas
from troupe.process.terminal import private_terminal

__all__ = ["app", "main"]


class Group(TyperGroup):
    """Command group."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the group's parameters."""
        return _with_bare_flags(super().get_params(ctx))


class Commands(Group):
    """Command group that turns troupe's own errors into a message and an exit code, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the context names."""
        try:
            return super().invoke(ctx)
        except TroupeError as error:
            if isinstance(error, Cancelled):  # which is what the user asked for
                stderr.print(redacted_text(str(error)))
                raise typer.Exit(ExitCode.STOPPED) from None
            print_error(redacted_text(str(error)))
            raise typer.Exit(ExitCode.REFUSED) from None
        except KeyboardInterrupt:
            stderr.print("\ninterrupted")
            raise typer.Exit(ExitCode.STOPPED) from None
        except typer.Abort as abort:
            if not isinstance(abort.__context__, KeyboardInterrupt):  # a prompt was answered with no
                raise
            stderr.print("\ninterrupted at a prompt")
            raise typer.Exit(ExitCode.STOPPED) from None


class Command(TyperCommand):
    """Command that refuses an option of one value which is given twice, also under two names."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the command's parameters."""
        return _with_bare_flags(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command's words."""
        *_, given = self.make_parser(ctx).parse_args(args=list(args))
        options = [option for option in given if isinstance(option, TyperOption)]
        for option, count in Counter(o for o in options if not (o.multiple or o.is_flag or o.count)).items():
            if count > 1:
                names = [name for name in option.opts if any(word.partition("=")[0] == name for word in args)]
                twice = f"{names[0]} is given {count} times, but takes one value"
                ctx.fail(f"{' and '.join(names)} are one option with one value" if len(names) > 1 else twice)
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")  # pydantic's
            raise


def _with_bare_flags(parameters: list[Any]) -> list[Any]:
    """Return the parameters, of which flags, which take no value, are shown without a type."""
    for parameter in parameters:
        if isinstance(parameter, TyperOption) and parameter.is_flag:
            parameter.metavar = ""
    return parameters


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"troupe {__version__}")
        raise typer.Exit


@app.callback()
def troupe(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Animate portraits with driving clips, in bulk.

    Getting started:

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
app.command()(review.review)
app.command()(evaluate.evaluate)
app.command()(train.train)
app.command()(export.export)
doctor.store_app.command()(policy.policy)
catalog.app.command()(audit.audit)
app.add_typer(doctor.store_app, name="store")
app.command()(forget.forget)
app.add_typer(consent.app, name="consent")
app.add_typer(credentials.app, name="credentials")
app.command()(verify.verify)
app.add_typer(events.app, name="events")
app.add_typer(weights.app, name="weights")
app.command()(doctor.doctor)
for registered in app.registered_groups:
    registered.cls = Group
for group in (app, *(registered.typer_instance for registered in app.registered_groups)):
    for command in group.registered_commands if group is not None else ():
        command.cls = Command


def main() -> None:
    """Run the command line."""
    limit_arenas()
    private_terminal()
    bypass_proxies_on_loopback()
    # Read when torch is imported; see `tasks.pool.ray_actor`.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app(prog_name="troupe")
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise
        _exit_process(end.code or 0)


def _exit_process(code: int) -> NoReturn:
    """Exit as Python does, but without tearing down imported modules, which takes a second after a run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command has ended, and its exit code is fixed
    threads: Any = threading
    threads._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # the reader may be gone
            stream.flush()
    os._exit(code)
