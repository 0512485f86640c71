"""A training file carried out, part by part."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from catalogs.store.keys import make_key
from catalogs.store.store import file_hash
from models.miniature.model import init_weights
from models.weights import files
from tasks.train.clips import OnClip, prepare_clips
from tasks.train.config import WORLD, Course, Recipe
from tasks.train.loop import OnStep, result, train
from tasks.train.parts import FROM_CLIPS, objective
from troupe.errors import SettingsError

__all__ = ["learn", "needs_clips", "prepare", "prepare_footage"]

ENCODERS = ("troupe.json", "vae", "hyportrait/expression", "hyportrait/headpose", "arcface.onnx")
"""What prepared clips were encoded with, by the beginnings of the files' names in a weights directory."""


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


def needs_clips(course: Course, recipe: Recipe) -> bool:
    """Whether clips have to be prepared before this part, which is not learned yet.

    Raises:
        SettingsError: the file does not say which.
    """
    if recipe.part not in FROM_CLIPS or result(course.folder / recipe.part, recipe) is not None:
        return False
    if course.clips is None:
        raise SettingsError(f"{recipe.part} learns from clips; say which in a table [clips]")
    return True


def prepare_footage(course: Course, stop: Callable[[], bool], on_clip: OnClip, device: str = "auto") -> list[str]:
    """See `tasks.train.clips.prepare_clips`."""
    assert course.clips is not None
    return prepare_clips(course.clips, course.weights, _clips(course), stop, on_clip, device)


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
    cast = course.clips.cast if course.clips is not None and course.clips.source == WORLD else 1
    aim = objective(recipe.part, course.weights, _clips(course), cast, recipe.options)
    if workers == 1:
        train(aim, recipe, course.weights, folder, stop, on_step, device)
    else:
        from tasks.train.ray_train import train_together

        train_together(aim, recipe, course.weights, folder, stop, on_step, device, workers, ray_address)
    found = result(folder, recipe)
    assert found is not None
    return found


def _clips(course: Course) -> Path:
    """The folder of prepared clips: another one for other clips, and for other encoders."""
    if course.clips is None:
        return course.folder / "clips"
    about = {name: value for name, value in asdict(course.clips).items() if name != "count"}
    encoders = [
        (str(path.relative_to(course.weights)), file_hash(path))
        for path in files(course.weights)
        if str(path.relative_to(course.weights)).startswith(ENCODERS)
    ]
    return course.folder / f"clips-{make_key('training clips', about=about, encoders=encoders)[:12]}"
