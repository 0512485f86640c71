"""The flow that trains: the parts of a training file, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# First: it sets what Prefect reads when it is imported.
from flows.animate import animate  # noqa: F401  # isort: skip

from prefect import State, flow
from prefect.artifacts import create_markdown_artifact
from prefect.states import Cancelled as cancelled

from flows.observe.training_progress import steps_of
from flows.prefect_server import prefect_server
from flows.prefect_tasks import result_of, stoppable_task
from tasks.train.config import Course, Recipe, read_course
from tasks.train.parts import PARTS
from tasks.train.run import learn, needs_clips, prepare, prepare_footage
from troupe.errors import Cancelled
from troupe.signals import stoppable

__all__ = ["table", "train", "train_here", "train_locally"]

Found = dict[str, dict[str, Any]]
Step = Callable[..., Any]


@flow(
    name="train",
    description="Learn the parts of a weights directory, as a training file says.",
    persist_result=False,
)
def train(
    config: str,
    parts: list[str] | None = None,
    device: str = "auto",
    workers: int = 1,
    ray_address: str | None = None,
) -> Found | State[Any]:
    """Carry a training file out; what was learned already is left alone, what was stopped goes on.

    Args:
        config: path of the training file, TOML.
        parts: only these; all if not given.
        device: `cpu`, or `auto` for a GPU if there is one.
        workers: processes that share every batch; more than one are Ray's.
        ray_address: of a Ray cluster that this machine is part of; if not given, workers are on this machine.
    """
    course = read_course(Path(config), tuple(PARTS))
    try:
        with stoppable() as stop:
            found = _perform(course, tuple(parts or ()), stoppable_task, stop, device, workers, ray_address)
    except Cancelled as error:
        return cancelled(message=error.message)
    create_markdown_artifact(table(found), key="troupe-training", description=config)
    return found


def train_here(config: Path, parts: tuple[str, ...], device: str, workers: int, ray_address: str | None) -> Found:
    """Run the flow in this process.

    Raises:
        TroupeError: the training cannot be carried out as it is.
        Cancelled: it was stopped; the same call goes on.
    """
    with stoppable() as stop, prefect_server(stop):
        state: Any = train(str(config), list(parts), device, workers, ray_address, return_state=True)
    found: Found = result_of(state)
    return found


def train_locally(config: Path, parts: tuple[str, ...], device: str) -> Found:
    """The flow's work in this process alone.

    Raises:
        TroupeError: the training cannot be carried out as it is.
        Cancelled: it was stopped; the same call goes on.
    """
    course = read_course(config, tuple(PARTS))
    with stoppable() as stop:
        return _perform(course, parts, lambda _, step: step, stop, device, 1, None)


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """What was learned, in Markdown."""
    lines = ["| part | steps | seconds | loss | measured |", "| --- | ---: | ---: | ---: | --- |"]
    for part, one in found.items():
        measured = ", ".join(f"{name} {value:.4g}" for name, value in one["measured"].items())
        loss = one["losses"]["loss"]
        lines.append(f"| {part} | {one['recipe']['steps']} | {one['seconds']:.0f} | {loss:.4g} | {measured} |")
    return "\n".join(lines)


def _perform(
    course: Course,
    parts: tuple[str, ...],
    called: Callable[[str, Step], Step],
    stop: Any,
    device: str,
    workers: int,
    ray_address: str | None,
) -> Found:
    """Part by part; `called` makes of a step, and its name, what is called."""
    prepare(course)
    found: Found = {}
    for recipe in course.of(parts):
        if needs_clips(course, recipe):
            called("prepare clips", _prepare)(course, stop, device)
        learn_part = called(f"learn {recipe.part}", _learn)
        found[recipe.part] = learn_part(course, recipe, stop, device, workers, ray_address)
    return found


def _prepare(course: Course, stop: Any, device: str) -> None:
    steps = steps_of()
    for line in prepare_footage(course, stop.is_set, steps.clip, device):
        steps.note(line)


def _learn(
    course: Course, recipe: Recipe, stop: Any, device: str, workers: int, ray_address: str | None
) -> dict[str, Any]:
    steps = steps_of()
    steps.begin(recipe.part, recipe.steps)
    found = learn(course, recipe, stop.is_set, steps.step, device, workers, ray_address)
    steps.end(recipe.part, found)
    return found
