"""The flow that trains: the parts of a training file, one after the other."""

from __future__ import annotations

import flows.server.prefect_env  # noqa: F401  # isort: skip

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from prefect import State, flow
from prefect.artifacts import create_markdown_artifact

from flows.observe.progress import current_training_progress
from flows.parameters import Count
from flows.prefect_tasks import call_as_task, result_of, state_of
from flows.server.prefect_server import prefect_server
from flows.steps import Call, call_directly
from tasks.train.check_training import check_training
from tasks.train.config import PartConfig, TrainConfig
from tasks.train.parts import check_options
from tasks.train.train_part import (
    needs_clips,
    outdated_parts,
    prepare_training_clips,
    prepare_weights,
    train_part,
)
from troupe.errors import TroupeError
from troupe.process.signals import stoppable

__all__ = ["table", "train", "train_here", "train_locally"]

Results = dict[str, dict[str, Any]]
"""What was learned, by part."""


@flow(
    name="train",
    description="Train the parts of a weights directory, as a training file says.",
    persist_result=False,
)
def train(
    config: str,
    parts: list[str] | None = None,
    device: Literal["auto", "cpu"] = "auto",
    workers: Count = 1,
    ray_address: str | None = None,
) -> Results | State[Any]:
    """Train as a training file says; finished parts are kept, and a stopped training resumes.

    Args:
        config: path of the training file, TOML.
        parts: names of the parts to train; all if empty.
        device: `cpu`, or `auto` for a GPU if there is one.
        workers: number of processes that share every batch; more than one are Ray workers.
        ray_address: address of a Ray cluster that this machine is part of; if empty, workers run on this machine.
    """
    try:
        train_config = check_training(Path(config), tuple(parts or ()), device, workers)
        with stoppable() as stop:
            results = _train(train_config, tuple(parts or ()), call_as_task, stop, device, workers, ray_address)
    except TroupeError as error:
        return state_of(error)
    create_markdown_artifact(table(results), key="troupe-training", description=config)
    return results


def train_here(config: Path, parts: tuple[str, ...], device: str, workers: int, ray_address: str | None) -> Results:
    """Run the flow in this process.

    Raises:
        TroupeError: the training cannot be executed as it is.
        Cancelled: the training was stopped; the same call resumes it.
    """
    with stoppable() as stop, prefect_server(stop):
        state: Any = train(str(config), list(parts), device, workers, ray_address, return_state=True)
    results: Results = result_of(state)
    return results


def train_locally(config: Path, parts: tuple[str, ...], device: str) -> Results:
    """Train in this process alone, without Prefect or Ray.

    Raises:
        TroupeError: the training cannot be executed as it is.
        Cancelled: the training was stopped; the same call resumes it.
    """
    train_config = check_training(config, parts, device)
    with stoppable() as stop:
        return _train(train_config, parts, call_directly, stop, device, 1, None)


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what was learned as a Markdown table."""
    lines = ["| part | steps | seconds | loss | measured |", "| --- | ---: | ---: | ---: | --- |"]
    for part, result in results.items():
        measured = ", ".join(f"{name} {value:.4g}" for name, value in result["measured"].items())
        loss = result["losses"]["loss"]
        lines.append(f"| {part} | {result['recipe']['steps']} | {result['seconds']:.0f} | {loss:.4g} | {measured} |")
    return "\n".join(lines)


def _train(
    train_config: TrainConfig,
    parts: tuple[str, ...],
    call: Call,
    stop: threading.Event,
    device: str,
    workers: int,
    ray_address: str | None,
) -> Results:
    """Train part by part; `call` calls a step, given its name, the step and its arguments."""
    check_options(train_config.select(parts))
    prepare_weights(train_config)
    results: Results = {}
    for part_config in train_config.select(parts):
        if needs_clips(train_config, part_config):
            call("prepare clips", _prepare_clips, train_config, part_config, stop, device)
        results[part_config.part] = call(
            f"learn {part_config.part}", _learn, train_config, part_config, stop, device, workers, ray_address
        )
    for line in outdated_parts(train_config.weights):
        current_training_progress().note(line)
    return results


def _prepare_clips(train_config: TrainConfig, part_config: PartConfig, stop: threading.Event, device: str) -> None:
    progress = current_training_progress()
    for line in prepare_training_clips(train_config, part_config, stop.is_set, progress.clip, device):
        progress.note(line)


def _learn(
    train_config: TrainConfig,
    part_config: PartConfig,
    stop: threading.Event,
    device: str,
    workers: int,
    ray_address: str | None,
) -> dict[str, Any]:
    progress = current_training_progress()
    progress.started(part_config.part, part_config.steps)
    result = train_part(train_config, part_config, stop.is_set, progress.step, device, workers, ray_address)
    progress.end(part_config.part, result)
    return result
