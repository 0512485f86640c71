"""The trainable parts, by name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from models.training import Objective
from troupe.errors import SettingsError

__all__ = ["FROM_CLIPS", "PARTS", "objective"]

FROM_CLIPS = ("denoiser", "adapters")
"""Parts that train on prepared clips."""

PARTS: Mapping[str, str] = {
    "vae": "models.training.autoencoder_objective:AutoencoderObjective",
    "recogniser": "models.training.faces.recogniser_objective:RecogniserObjective",
    "detector": "models.training.faces.detector_objective:DetectorObjective",
    "headpose": "models.training.head_pose_objective:HeadPoseObjective",
    "expression": "models.training.expression_objective:ExpressionObjective",
    "denoiser": "models.training.denoiser_objective:DenoiserObjective",
    "adapters": "models.training.denoiser_objective:AdapterObjective",
}
"""Module and class of each part's objective, imported on demand."""


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
    module, name = PARTS[part].split(":")
    build: Any = getattr(import_module(module), name)
    given = {"weights": weights} | ({"clips": clips, "cast": cast} if part in FROM_CLIPS else {})
    try:
        built: Objective = build(**given, **options)
    except TypeError as error:
        raise SettingsError(f"{part}: {error}") from error
    return built
