"""The check of a training before anything expensive: no network is imported, no process is started."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from models.face_files import check_detector
from tasks.train.clips_table import read_clips_table
from tasks.train.config import WORLD, PartConfig, TrainConfig, parse_train_config
from tasks.train.parts import FROM_CLIPS, PARTS
from tasks.train.results import check_settings, result
from tasks.weights.local_copy import local_file
from troupe.checks import check_all
from troupe.errors import SettingsError

__all__ = ["DEVICES", "check_training"]

DEVICES = ("auto", "cpu")


def check_training(path: Path, parts: tuple[str, ...], device: str, workers: int = 1) -> TrainConfig:
    """Read a training file and check what takes a moment. All problems are reported together.

    Args:
        parts: names of the parts to train; all if empty.

    Raises:
        TroupeError: the only problem.
        SettingsError: several problems.
    """
    config, problems = parse_train_config(path, tuple(PARTS))
    invalid = {problem.partition(".")[0].partition(":")[0] for problem in problems}
    chosen = [part for part in config.parts if not parts or part.part in parts]
    remaining = [part for part in chosen if result(config.folder / part.part, part) is None]

    def check_entries() -> None:
        if problems:
            raise SettingsError(f"{path} cannot be used", problems)

    checks: list[Callable[[], object]] = [
        check_entries,
        lambda: config.select(parts),
        lambda: _check_device(device),
        lambda: _check_base(config, new="weights" in invalid),
        lambda: _check_clips(config, remaining, invalid),
        *(lambda part=part: part.check_share(workers) for part in remaining if part.part not in invalid),
        *(
            lambda part=part: check_settings(config.folder / part.part, part)
            for part in chosen
            if part.part not in invalid
        ),
    ]
    check_all(checks)
    return config


def _check_device(device: str) -> None:
    if device not in DEVICES:
        raise SettingsError(f"invalid device {device!r}; use {' or '.join(DEVICES)}")


def _check_base(config: TrainConfig, *, new: bool) -> None:
    """Check the directory to start from, if `weights` is `new`, or does not exist."""
    if config.base is not None and (new or not config.weights.exists()) and not config.base.is_dir():
        raise SettingsError(f"base: {config.base} is not a directory")


def _check_clips(config: TrainConfig, parts: Sequence[PartConfig], invalid: Collection[str]) -> None:
    from_clips = [part.part for part in parts if part.part in FROM_CLIPS]
    if not from_clips:
        return
    if config.clips is None:
        if "clips" in invalid:  # it is there, but names no source
            return
        raise SettingsError(f"{', '.join(from_clips)} trains on clips; add a table [clips]")
    if config.clips.source != WORLD:
        read_clips_table(config.clips.source)
        if config.clips.detector:
            check_detector(local_file(config.clips.detector))
