"""`troupe weights`: download, check and convert weights directories."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.console import Format, console, human_size, print_error, print_json, print_table, stderr
from flows.cli.options import ExitCode, FormatOption
from flows.observe.job_control import SuspendableProgress, shows_bars

if TYPE_CHECKING:
    from tasks.weights.download import OnProgress

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="Download, check and convert weights directories. A weights directory contains all networks of a model.",
)

DirectoryArgument = Annotated[Path, typer.Argument(help="Weights directory.", metavar="DIR")]


@app.command()
def check(
    directory: DirectoryArgument,
    format: FormatOption = Format.table,
) -> None:
    """Check that every file fits its network, and list all problems.

    Only names and shapes of tensors are read, so that the full model is checked in seconds. A converted file's note of
    the SHA-256 it was made from is shown, but not verified; `troupe weights pull` compares its tensors.

    Exit code: 0 if everything fits, 2 otherwise.

    Examples:

    - `troupe weights check weights`
    - `troupe weights check weights --format json`
    """
    from tasks.weights.check import absent_parts
    from tasks.weights.check import check as check_weights

    reports, absent = check_weights(directory), absent_parts(directory)
    problems = [f"{report.file}: {problem}" for report in reports for problem in report.problems]
    if format is Format.json:
        parts = [asdict(report) for report in reports]
        print_json({"directory": str(directory), "ok": not problems, "parts": parts, "absent": absent})
    else:
        print_table(
            ("part", "file", "tensors", "parameters", "dtype", "size", "state", "converted from (unverified)"),
            (
                (
                    report.name,
                    report.file,
                    f"{report.tensors:,}" if report.tensors else "",
                    f"{report.parameters:,}" if report.parameters else "",
                    report.dtype,
                    human_size(report.bytes) if report.bytes else "",
                    "bad" if report.problems else "ok",
                    report.source_sha256[:12],
                )
                for report in reports
            ),
            right=("tensors", "parameters", "size"),
        )
        for name, how in absent.items():
            stderr.print(f"without the optional part {name}; {how}")
    if problems:
        print_error("\n  ".join([f"invalid weights directory {directory}", *problems]))
        raise typer.Exit(ExitCode.REFUSED)


@app.command()
def pull(
    directory: DirectoryArgument,
    accept_licences: Annotated[
        bool, typer.Option("--accept-licences", help="Accept the licences without a prompt.")
    ] = False,
    endpoint: Annotated[
        str | None,
        typer.Option(help="URL of the Hugging Face hub.", envvar="HF_ENDPOINT", show_default="https://huggingface.co"),
    ] = None,
) -> None:
    """Download the released weights, after showing their licences.

    Every file is verified against the hub's checksum. Run the command again to resume a stopped download; existing
    files are not downloaded again. One of the repositories is gated: accept its terms on its page, then set HF_TOKEN
    to an access token or log in with `hf auth login`.

    Examples:

    - `troupe weights pull weights`
    - `HF_TOKEN=... troupe weights pull weights --accept-licences`
    """
    from tasks.weights.download import pull as pull_weights

    if accept_licences or can_prompt():
        _show_licences()
        if not (accept_licences or typer.confirm("Do you accept them?", err=True)):
            print_error("licences not accepted; nothing was downloaded")
            raise typer.Exit(ExitCode.REFUSED)
        accept_licences = True
    with _progress() as on_progress:
        report = pull_weights(directory, accept_licences=accept_licences, endpoint=endpoint, on_progress=on_progress)
    size = human_size(sum(file.size for file in report.files.values()))
    stderr.print(
        f"{directory}: {len(report.files)} files, {size}, {len(report.fetched)} downloaded now; all checksums verified"
    )


@app.command()
def convert(directory: DirectoryArgument) -> None:
    """Write a .safetensors file beside every .pth file, for faster loading.

    Processes on one machine share the memory of a .safetensors file. The .pth files stay. Convert before the first
    run: converted weights have another fingerprint, so that renders made before are not reused.

    Examples:

    - `troupe weights convert weights`
    """
    from tasks.weights.check import convert as convert_weights

    written = 0
    for path in convert_weights(directory):
        console.print(f"{path} ({human_size(path.stat().st_size)})")
        written += 1
    stderr.print(f"{directory}: {written} files written" if written else f"{directory}: nothing to convert")


def can_prompt() -> bool:
    """Return whether standard input is a terminal."""
    return sys.stdin.isatty()


def _show_licences() -> None:
    from tasks.weights.sources import LICENCES

    stderr.print(f"The released weights come from {len(LICENCES)} repositories, under these terms:\n")
    for licence in LICENCES:
        stderr.print(f"  {licence.repo} ({licence.holder}{', gated' if licence.gated else ''})", style="bold")
        stderr.print(f"    {licence.terms}\n    {licence.page}\n")


@contextmanager
def _progress() -> Iterator[OnProgress]:
    """Show a progress bar per file on a terminal, and a line per downloaded file elsewhere."""
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
