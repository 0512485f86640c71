"""A training file carried out, part by part."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

from models.miniature.weights import init_weights
from tasks.train.loop import OnStep, result, train
from tasks.train.parts import objective
from tasks.train.recipe import Course, Recipe
from troupe.errors import SettingsError

__all__ = ["learn", "prepare"]


def prepare(course: Course) -> None:
    """See that there is a weights directory to write parts to: one that is there, a copy of the base, or a new one.

    A new one is the untrained miniature, so that it can be loaded at any time, whatever of it was learned.

    Raises:
        SettingsError: the base is no directory.
    """
    if course.weights.exists():
        return
    if course.base is None:
        init_weights(course.weights, seed=0)
        return
    if not course.base.is_dir():
        raise SettingsError(f"base: {course.base} is not a directory")
    course.weights.parent.mkdir(parents=True, exist_ok=True)
    part = course.weights.with_name(f".{course.weights.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(course.base, part)
    part.rename(course.weights)


def learn(
    course: Course,
    recipe: Recipe,
    stop: Callable[[], bool],
    on_step: OnStep,
    device: str = "auto",
    workers: int = 1,
    ray_address: str | None = None,
) -> dict[str, Any]:
    """Learn one part; at once done if it was learned already.

    Args:
        workers: processes, with a GPU each where there are some, that share every batch; more than one are Ray's.

    Returns:
        What the training left behind, see `tasks.train.loop.result`.

    Raises:
        SettingsError: options the part does not have, or a folder that holds another training.
        Cancelled: it was stopped; the same call goes on.
        WorkerLost: a worker died; the same call goes on from the last checkpoint.
    """
    folder = course.folder / recipe.part
    if (found := result(folder, recipe)) is not None:
        return found
    aim = objective(recipe.part, course.weights, recipe.options)
    if workers == 1:
        train(aim, recipe, course.weights, folder, stop, on_step, device)
    else:
        from tasks.train.crew import train_together

        train_together(aim, recipe, course.weights, folder, stop, on_step, device, workers, ray_address)
    found = result(folder, recipe)
    assert found is not None
    return found
