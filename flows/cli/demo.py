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

    Nothing is downloaded. The model is a miniature of the real one, with every network in it. Run again, it reuses
    all it has made.

    Examples:

    - `troupe demo`
    - `troupe demo /tmp/demo --local`
    """
    from tasks.demo import prepare_demo
    from tasks.production import Request

    portraits, drivings, weights = prepare_demo(folder.absolute())
    stderr.print("The miniature model is untrained: what its videos show is noise until real weights are used.")
    request = Request(
        store=str(folder.absolute() / "store"),
        weights=str(weights),
        portraits=str(portraits),
        drivings=str(drivings),
        defaults={"preset": "draft"},
    )
    raise typer.Exit(exit_code(perform(request, local=local)))
