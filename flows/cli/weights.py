"""`troupe weights`: get, look at and convert weights directories."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.console import Format, console, human_size, print_error, print_json, print_table, stderr
from flows.observe.job_control import SuspendableProgress, shows_bars

if TYPE_CHECKING:
    from tasks.weights.download import OnProgress

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True, help="Get, check and convert weights directories: each holds everything that defines a model."
)

Directory = Annotated[Path, typer.Argument(help="The weights directory.", metavar="DIR", show_default=False)]


@app.command()
def check(
    directory: Directory,
    format: Annotated[Format, typer.Option(help="How to print it.")] = Format.table,
) -> None:
    """Hold every file against the networks it is for, and list all that does not fit.

    Nothing is loaded into memory, so that the full release is checked in seconds.

    Exit code: 0 if everything fits, 2 if not.

    Examples:

    - `troupe weights check weights`
    - `troupe weights check weights --format json`
    """
    from tasks.weights.check import check as check_weights

    reports = check_weights(directory)
    problems = [f"{report.file}: {problem}" for report in reports for problem in report.problems]
    if format is Format.json:
        print_json({"directory": str(directory), "ok": not problems, "parts": [asdict(report) for report in reports]})
    else:
        print_table(
            ("part", "file", "tensors", "parameters", "dtype", "size", "state"),
            (
                (
                    report.name,
                    report.file,
                    f"{report.tensors:,}" if report.tensors else "",
                    f"{report.parameters:,}" if report.parameters else "",
                    report.dtype,
                    human_size(report.bytes) if report.bytes else "",
                    "bad" if report.problems else "ok",
                )
                for report in reports
            ),
            right=("tensors", "parameters", "size"),
        )
    if problems:
        print_error("\n  ".join([f"{directory} cannot be used", *problems]))
        raise typer.Exit(2)


@app.command()
def pull(
    directory: Directory,
    accept_licences: Annotated[
        bool, typer.Option("--accept-licences", help="Accept the licences without being asked, for batch use.")
    ] = False,
    endpoint: Annotated[
        str | None,
        typer.Option(help="Address of the hub.", envvar="HF_ENDPOINT", show_default="https://huggingface.co"),
    ] = None,
) -> None:
    """Download the released weights, after showing their licences.

    Every file is checked against the hub's own checksum. Run it again to go on where it stopped; files that are
    there already are not fetched twice. One of the repositories is gated: accept its terms on its page and put
    an access token into HF_TOKEN, or log in with `hf auth login`.

    Examples:

    - `troupe weights pull weights`
    - `HF_TOKEN=... troupe weights pull weights --accept-licences`
    """
    from tasks.weights.download import pull as pull_weights

    if accept_licences or asks():
        _show_licences()
        if not (accept_licences or typer.confirm("Do you accept them?", err=True)):
            print_error("not accepted: nothing was downloaded")
            raise typer.Exit(2)
        accept_licences = True
    with _progress() as on_progress:
        report = pull_weights(directory, accept_licences=accept_licences, endpoint=endpoint, on_progress=on_progress)
    size = human_size(sum(file.size for file in report.files.values()))
    stderr.print(
        f"{directory}: {len(report.files)} files, {size}, "
        f"{len(report.fetched)} fetched now, all as the hub's checksums say"
    )


@app.command()
def convert(directory: Directory) -> None:
    """Write a .safetensors file beside every .pth, which loads faster.

    The processes of one machine share the memory of such a file. The .pth files stay; nothing else changes, and
    everything rendered so far is reused all the same.

    Examples:

    - `troupe weights convert weights`
    """
    from tasks.weights.check import convert as convert_weights

    written = 0
    for path in convert_weights(directory):
        console.print(f"{path} ({human_size(path.stat().st_size)})")
        written += 1
    stderr.print(f"{directory}: {written} files written" if written else f"{directory}: nothing to convert")


def asks() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty()


def _show_licences() -> None:
    from tasks.weights.sources import LICENCES

    stderr.print(f"The release comes from {len(LICENCES)} repositories, under these terms:\n")
    for licence in LICENCES:
        stderr.print(f"  {licence.repo} ({licence.holder}{', gated' if licence.gated else ''})", style="bold")
        stderr.print(f"    {licence.terms}\n    {licence.page}\n")


@contextmanager
def _progress() -> Iterator[OnProgress]:
    """A bar for the file that is coming, on a terminal; a line for each that has come, elsewhere."""
    if not shows_bars(stderr):

        def line(path: str, done: int, size: int) -> None:
            if done == size:
                stderr.print(f"{path} ({human_size(size)})")

        yield line
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with SuspendableProgress(*columns, TransferSpeedColumn(), TimeRemainingColumn(), console=stderr) as progress:
        bars = {}

        def advance(path: str, done: int, size: int) -> None:
            if path not in bars:
                bars[path] = progress.add_task(path, total=size)
            progress.update(bars[path], completed=done)

        yield advance
