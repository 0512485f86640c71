"""`troupe doctor`: what this machine has for the work, and what it lacks."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.console import Format, print_json, print_table

__all__ = ["doctor"]


def doctor(
    store: Annotated[
        str, typer.Option(help="Folder or bucket URL that a run would write to.", envvar="TROUPE_STORE")
    ] = "troupe-store",
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Weights directory.", envvar="TROUPE_WEIGHTS", show_default="the miniature that comes with troupe"
        ),
    ] = None,
    detector: Annotated[
        Path | None, typer.Option(help="Face detector instead of the weights' own.", show_default=False)
    ] = None,
    format: Annotated[Format, typer.Option(help="How to print it.")] = Format.table,
) -> None:
    """Look at what a run needs: Python, packages, memory, GPU, ffmpeg, Ray, the store, the weights.

    Every line says what was found: ok, warn (works, but not for everything) or bad (a run would fail), and what to
    do about it.

    Exit code: 0 if nothing is bad, 2 if something is.

    Examples:

    - `troupe doctor`
    - `troupe doctor --weights weights --store s3://bucket/troupe`
    """
    from tasks.doctor import examine
    from tasks.weights.shipped import SHIPPED_WEIGHTS

    findings = examine(store, weights or SHIPPED_WEIGHTS, detector)
    if format is Format.json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_table(
            ("state", "what", "found", "advice"),
            ((finding.state, finding.name, finding.what, finding.advice) for finding in findings),
        )
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(2)
