"""What the folder of a training says about it: its settings, and its result once it is finished."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tasks.train.config import PartConfig
from troupe.errors import SettingsError

__all__ = ["RECIPE", "RESULT", "check_settings", "result"]

RECIPE, RESULT = "recipe.json", "result.json"


def check_settings(folder: Path, config: PartConfig) -> None:
    """Check that the folder holds no training with other settings.

    Raises:
        SettingsError: it does; the differences are listed.
    """
    path = folder / RECIPE
    if path.exists() and (problems := config.differences(json.loads(path.read_text()))):
        lines = "\n  ".join(problems)
        raise SettingsError(f"{folder} holds a training with other settings; remove it to start over:\n  {lines}")


def result(folder: Path, config: PartConfig) -> dict[str, Any] | None:
    """Return the result of a training that finished these steps or more: seconds, last losses and measures."""
    path = folder / RESULT
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text())
    return found if found["recipe"]["steps"] >= config.steps else None
