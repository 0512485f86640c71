"""`troupe demo`: the main job on generated portraits and clips."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.console import stderr
from flows.cli.run import exit_code, perform

__all__ = ["demo"]


def demo(
    folder: Annotated[Path, typer.Argument(help="Where everything goes.", metavar="DIR")] = Path("demo"),
    local: Annotated[bool, typer.Option("--local", help="In this process, without Prefect and Ray.")] = False,
) -> None:
    """Run the main job on two generated portraits and two generated clips with sound.

    Nothing is downloaded. The model is the miniature that comes with troupe: every network of the full one, small and
    learned from drawn people. Run again, it reuses all it has made.

    Examples:

    - `troupe demo`
    - `troupe demo /tmp/demo --local`
    """
    from tasks.demo import draw_strip, prepare_demo
    from tasks.run.request import Request
    from tasks.weights.shipped import SHIPPED_WEIGHTS

    portraits, drivings = prepare_demo(folder.absolute())
    request = Request(
        store=str(folder.absolute() / "store"),
        weights=str(SHIPPED_WEIGHTS),
        portraits=str(portraits),
        drivings=str(drivings),
        defaults={"preset": "sketch"},
    )
    summary = perform(request, local=local)
    if draw_strip(summary.manifest, strip := folder / "acting.png"):
        stderr.print(f"a clip, and who acts it: {strip}")
    raise typer.Exit(exit_code(summary))
