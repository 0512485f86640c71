"""`troupe demo`: animate generated portraits with generated clips."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.console import stderr
from flows.cli.options import LocalOption
from flows.cli.run import exit_code, perform

__all__ = ["demo"]

NEXT = {
    "catalog ls --store {folder}/store": "what was rendered, and how well",
    "review --store {folder}/store --open": "approve, reject or comment in the browser",
    "export latest {folder}/videos --store {folder}/store": "copies under readable names",
    "verify {folder}/videos/*/*.mp4 --store {folder}/store": "what these files are, and where they come from",
}
"""Commands to try, and what for."""


def demo(
    folder: Annotated[Path, typer.Argument(help="Folder to write to.", metavar="DIR")] = Path("demo"),
    local: LocalOption = False,
) -> None:
    """Animate two generated portraits with two generated clips; one also speaks two sounds, with lips that follow them.

    Nothing is downloaded. The demo uses the miniature that comes with troupe: a small model with all networks of the
    full one, trained on drawn faces. Run it again and all results are reused.

    Examples:

    - `troupe demo`
    - `troupe demo /tmp/demo --local`
    """
    stderr.print(f"drawing portraits, clips and sounds in {folder}")
    from tasks.demo import draw_comparison, prepare_jobs
    from tasks.run.request import Request
    from tasks.weights.shipped import SHIPPED_WEIGHTS

    store = folder.absolute() / "store"
    request = Request(
        store=str(store),
        weights=str(SHIPPED_WEIGHTS),
        jobs=str(prepare_jobs(folder.absolute())),
        defaults={"preset": "sketch"},
    )
    summary = perform(request, local=local)
    if draw_comparison(summary.manifest, picture := folder / "lips.webp"):
        stderr.print(f"one portrait, one clip, two sounds, in motion: {picture}")
    stderr.print(
        f"{folder}/jobs.csv lists the jobs: edit it and run the demo again, and only what is new is rendered. Next:"
    )
    commands = {f"troupe {command.format(folder=shlex.quote(str(folder)))}": words for command, words in NEXT.items()}
    for command, words in commands.items():
        stderr.print(f"  {command.ljust(max(map(len, commands)))}  {words}")
    raise typer.Exit(exit_code(summary))
