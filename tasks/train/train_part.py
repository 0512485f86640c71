"""Train the parts of a training file, one at a time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from catalogs.store.keys import make_key
from models.miniature.init_weights import init_weights
from models.weights import model_files, outdated_parts
from tasks.train.clip_kinds import CLIP_KINDS, DENOISER_CLIPS, ClipKind
from tasks.train.config import WORLD, PartConfig, TrainConfig
from tasks.train.loop import OnStep, train
from tasks.train.parts import FROM_CLIPS, objective
from tasks.train.prepare_clips import OnClip, prepare_clips
from tasks.train.results import result
from troupe.files import file_sha256, replacing

__all__ = ["needs_clips", "outdated_parts", "prepare_training_clips", "prepare_weights", "train_part"]


def prepare_weights(config: TrainConfig) -> None:
    """Create the weights directory, unless it exists: a copy of the base, or the untrained miniature.

    Either can be loaded at any time, however many of its parts are trained.
    """
    if config.weights.exists():
        return
    if config.base is None:
        init_weights(config.weights, seed=0)
        return
    config.weights.parent.mkdir(parents=True, exist_ok=True)
    with replacing(config.weights, sole_writer=True) as copy:
        shutil.copytree(config.base, copy)


def needs_clips(config: TrainConfig, part: PartConfig) -> bool:
    """Whether clips must be prepared first: the part trains on clips and is not trained yet."""
    return part.part in FROM_CLIPS and result(config.folder / part.part, part) is None


def prepare_training_clips(
    config: TrainConfig, part: PartConfig, stop: Callable[[], bool], on_clip: OnClip, device: str = "auto"
) -> list[str]:
    """Prepare the clips of a part; see `tasks.train.prepare_clips.prepare_clips`."""
    assert config.clips is not None
    return prepare_clips(config.clips, _kind(part), config.weights, _clips(config, part), stop, on_clip, device)


def train_part(
    config: TrainConfig,
    part: PartConfig,
    stop: Callable[[], bool],
    on_step: OnStep,
    device: str = "auto",
    workers: int = 1,
    ray_address: str | None = None,
) -> dict[str, Any]:
    """Train one part; returns at once if it is trained already.

    Args:
        workers: number of processes that share every batch, each with a GPU where there are any; more than one run on
            Ray Train.

    Returns:
        The result, see `tasks.train.loop.result`.

    Raises:
        SettingsError: unknown options of the part, or a folder that holds another training.
        Cancelled: the training was stopped; the same call resumes it.
        WorkerLost: a worker died; the same call resumes from the last checkpoint.
    """
    folder = config.folder / part.part
    if (found := result(folder, part)) is not None:
        return found
    cast = config.clips.cast if config.clips is not None and config.clips.source == WORLD else 1
    target = objective(part.part, config.weights, _clips(config, part), cast, part.options)
    if workers == 1:
        train(target, part, config.weights, folder, stop, on_step, device)
    else:
        from tasks.train.ray_train import train_distributed

        train_distributed(target, part, config.weights, folder, stop, on_step, device, workers, ray_address)
    found = result(folder, part)
    assert found is not None
    return found


def _kind(part: PartConfig) -> ClipKind:
    return CLIP_KINDS.get(part.part, DENOISER_CLIPS)


def _clips(config: TrainConfig, part: PartConfig) -> Path:
    """Folder of a part's prepared clips, keyed by the clips' settings and the encoders."""
    if config.clips is None:
        return config.folder / "clips"
    kind = _kind(part)
    about = {name: value for name, value in asdict(config.clips).items() if name != "count"}
    encoders = [
        (str(path.relative_to(config.weights)), file_sha256(path))
        for path in model_files(config.weights)
        if str(path.relative_to(config.weights)).startswith(kind.encoders)
    ]
    name = f"{part.part}-clips" if part.part in CLIP_KINDS else "clips"
    return config.folder / f"{name}-{make_key('training clips', about=about, encoders=encoders)[:12]}"
