"""`troupe train`: train the parts of a weights directory."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.console import stderr
from flows.cli.options import LocalOption
from troupe.errors import SettingsError

__all__ = ["train"]


def train(
    config: Annotated[Path, typer.Argument(help="Training file (TOML).")],
    part: Annotated[list[str] | None, typer.Option(help="Train only this part; may be repeated.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Number of processes, one per GPU, that share every batch.")] = 1,
    ray_address: Annotated[
        str | None, typer.Option(help="Ray cluster to train on, which this machine is a node of: auto or HOST:PORT.")
    ] = None,
    local: LocalOption = False,
    device: Annotated[str, typer.Option(help="auto (a GPU, if there is one) or cpu.")] = "auto",
) -> None:
    """Train the parts of a weights directory, or resume training them.

    The training file names the weights directory and has one table per part with its steps, batch size and learning
    rate; see docs/training.md. Checkpoints, losses (`curve.jsonl`, `curves.png`) and results are written to a folder
    beside the weights directory. A stopped training resumes from its last checkpoint; finished parts are skipped.

    Examples:

    - `troupe train models/miniature/training.toml --part vae`
    - `troupe train fine-tuning.toml --workers 4`
    """
    if local and (workers > 1 or ray_address):
        raise SettingsError("--local trains in one process; remove it to use --workers or --ray-address")
    if find_spec("accelerate") is None:
        raise SettingsError("training needs additional packages; install them with: pip install 'troupe[train]'")
    from tasks.train.check_training import check_training

    parts = tuple(part or ())
    check_training(config, parts, device, workers)
    from flows.observe.job_control import acknowledging
    from flows.observe.prefect_console import use_console_handler
    from flows.observe.progress import console_training_progress, use_listener
    from troupe.process.signals import stoppable

    with (
        stoppable() as stop,
        console_training_progress(stderr) as progress,
        use_listener(progress),
        acknowledging(stop, progress.note),
    ):
        progress.note("loading")
        use_console_handler()
        from flows.train import table, train_here, train_locally

        found = (
            train_locally(config, parts, device) if local else train_here(config, parts, device, workers, ray_address)
        )
    typer.echo(table(found))
