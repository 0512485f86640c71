"""`troupe demo`: animate generated portraits with generated clips."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.console import stderr
from flows.cli.options import LocalOption
from flows.cli.run import exit_code, perform

__all__ = ["demo"]


def demo(
    folder: Annotated[Path, typer.Argument(help="Folder to write to.", metavar="DIR")] = Path("demo"),
    local: LocalOption = False,
) -> None:
    """Animate two generated portraits with two generated clips that have sound.

    Nothing is downloaded. The demo uses the miniature that comes with troupe: a small model with all networks of the
    full one, trained on drawn faces. Run it again and all results are reused.

    Examples:

    - `troupe demo`
    - `troupe demo /tmp/demo --local`
    """
    stderr.print(f"drawing portraits and clips in {folder}")
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
        stderr.print(f"clip and results side by side: {strip}")
    raise typer.Exit(exit_code(summary))
