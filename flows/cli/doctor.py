"""`troupe doctor`: check whether this machine can run troupe."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.console import Format, print_json, print_table
from flows.cli.options import DEFAULT_STORE, ExitCode, FormatOption, StoreOption

__all__ = ["doctor"]


def doctor(
    store: StoreOption = DEFAULT_STORE,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Weights directory.", envvar="TROUPE_WEIGHTS", show_default="the miniature that comes with troupe"
        ),
    ] = None,
    detector: Annotated[
        Path | None, typer.Option(help="Face detector to use instead of the one in the weights.")
    ] = None,
    format: FormatOption = Format.table,
) -> None:
    """Check what a run needs: Python, packages, memory, GPU, ffmpeg, Ray, Prefect, the store and the weights.

    Each finding is ok, warn (works with limitations) or bad (a run would fail), with advice on how to fix it.

    Exit code: 0 if no finding is bad, 2 otherwise.

    Examples:

    - `troupe doctor`
    - `troupe doctor --weights weights --store s3://bucket/troupe`
    """
    from tasks.doctor import examine
    from tasks.weights.shipped import SHIPPED_WEIGHTS

    findings = examine(store, weights or SHIPPED_WEIGHTS, detector, _ask_prefect)
    if format is Format.json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_table(
            ("state", "what", "found", "advice"),
            ((finding.state, finding.name, finding.what, finding.advice) for finding in findings),
        )
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(ExitCode.REFUSED)


def _ask_prefect() -> str:
    from flows.prefect_server import ask_server  # an invalid setting of Prefect fails here, as a finding

    return ask_server()
