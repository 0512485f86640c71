"""What can be learned, by name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from models.training import Objective
from troupe.errors import SettingsError

__all__ = ["FROM_CLIPS", "PARTS", "objective"]

FROM_CLIPS = ("denoiser", "adapters")
"""Parts that learn from prepared clips."""

PARTS: Mapping[str, str] = {
    "vae": "models.training.autoencoder_objective:Reconstruction",
    "recogniser": "models.training.faces.recogniser_objective:Recognition",
    "detector": "models.training.faces.detector_objective:Detection",
    "headpose": "models.training.motion_encoders:HeadPoseReading",
    "expression": "models.training.motion_encoders:ExpressionReading",
    "denoiser": "models.training.denoiser_objective:Denoising",
    "adapters": "models.training.denoiser_objective:Adapting",
}
"""Where each one's objective is; loaded when it is asked for."""


def objective(part: str, weights: Path, clips: Path, cast: int, options: Mapping[str, Any]) -> Objective:
    """The objective of a part.

    Args:
        weights: the weights directory, with the parts that this one builds on.
        clips: folder of prepared clips, for parts that learn from them.
        cast: so many of which, in a row, are one performance by other people.
        options: its own settings.

    Raises:
        SettingsError: it does not have such options.
    """
    module, name = PARTS[part].split(":")
    build: Any = getattr(import_module(module), name)
    given = {"weights": weights} | ({"clips": clips, "cast": cast} if part in FROM_CLIPS else {})
    try:
        made: Objective = build(**given, **options)
    except TypeError as error:
        raise SettingsError(f"{part}: {error}") from error
    return made
