"""The trainable parts, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.train.config import PartConfig
from troupe.checks import check_all
from troupe.errors import SettingsError

if TYPE_CHECKING:
    from models.training import Objective

__all__ = ["FROM_CLIPS", "PARTS", "check_options", "objective"]

FROM_CLIPS = ("denoiser", "adapters", "voice", "fast")
"""Parts that train on prepared clips."""

PARTS: Mapping[str, str] = {
    "vae": "models.training.autoencoder_objective:AutoencoderObjective",
    "recogniser": "models.training.faces.recogniser_objective:RecogniserObjective",
    "detector": "models.training.faces.detector_objective:DetectorObjective",
    "headpose": "models.training.head_pose_objective:HeadPoseObjective",
    "expression": "models.training.expression_objective:ExpressionObjective",
    "denoiser": "models.training.denoiser_objective:DenoiserObjective",
    "adapters": "models.training.denoiser_objective:AdapterObjective",
    "voice": "models.training.voice.objective:VoiceObjective",
    "fast": "models.training.distillation.objective:DistillationObjective",
}
"""Module and class of each part's objective, imported on demand."""

_GIVEN = ("weights", "clips", "cast")
"""Arguments of an objective that are no options."""


def objective(part: str, weights: Path, clips: Path, cast: int, options: Mapping[str, Any]) -> Objective:
    """Build the objective of a part.

    Args:
        weights: weights directory, with the parts that this one builds on.
        clips: folder of prepared clips, for parts that train on them.
        cast: number of consecutive clips that show one performance, each by another person.
        options: options of the objective.

    Raises:
        SettingsError: the objective has no such option.
    """
    _check_options(part, options)
    made: dict[str, Any] = {"clips": clips} if part in FROM_CLIPS else {}
    if part in ("denoiser", "adapters"):
        made["cast"] = cast
    return _class(part)(weights=weights, **made, **options)


def check_options(parts: Iterable[PartConfig]) -> None:
    """Check that the objectives of the parts have these options; imports them. All problems are reported together.

    Raises:
        SettingsError: they have not.
    """
    check_all([partial(_check_options, part.part, part.options) for part in parts])


def _class(part: str) -> Callable[..., Objective]:
    module, name = PARTS[part].split(":")
    found: Callable[..., Objective] = getattr(import_module(module), name)
    return found


def _check_options(part: str, options: Mapping[str, Any]) -> None:
    known = [name for name in inspect.signature(_class(part)).parameters if name not in _GIVEN]
    if unknown := [name for name in options if name not in known]:
        raise SettingsError(f"{part}.options: unknown {', '.join(unknown)}; use {', '.join(known)}")
