"""`troupe train`: learn the parts of a weights directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.console import stderr
from troupe.errors import SettingsError

__all__ = ["train"]


def train(
    config: Annotated[Path, typer.Argument(help="Training file, TOML.", show_default=False)],
    part: Annotated[
        list[str] | None, typer.Option(help="Only this part; may be given several times.", show_default=False)
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes, or GPUs, that share every batch.")] = 1,
    ray_address: Annotated[
        str | None, typer.Option(help="A Ray cluster that this machine is part of, for more workers.")
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="In this process, without Prefect and Ray.")] = False,
    device: Annotated[str, typer.Option(help="auto or cpu.")] = "auto",
) -> None:
    """Train a weights directory, or go on training it, as a training file says.

    The file names the weights directory and holds a table for every part with its steps, batch and learning rate; see
    docs/training.md. Checkpoints, the losses (`curve.jsonl`, `curves.png`) and the result of each part lie in a folder
    beside it. A stopped training goes on where it was; a finished part is left alone.

    Examples:

    - `troupe train models/miniature/training.toml --part vae`
    - `troupe train fine-tuning.toml --workers 4`
    """
    if local and (workers > 1 or ray_address):
        raise SettingsError("--local is one process; leave it out for --workers and --ray-address")
    try:
        import accelerate  # noqa: F401  # type: ignore[import-untyped]
    except ImportError as error:
        raise SettingsError("training needs more packages: pip install 'troupe[train]'") from error
    from flows.observe.training_progress import console_steps, stepping

    with console_steps(stderr) as steps, stepping(steps):
        from flows.train import table, train_here, train_locally

        parts = tuple(part or ())
        found = (
            train_locally(config, parts, device) if local else train_here(config, parts, device, workers, ray_address)
        )
    typer.echo(table(found))
