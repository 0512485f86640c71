"""Frames that are stored, so that a benchmark of hours can be stopped and continued."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from troupe import Picture

__all__ = ["stored_frames"]


def stored_frames(path: Path | None, make: Callable[[], Picture]) -> Picture:
    """Return frames from a file, or make and store them; without a path they are made each time."""
    if path is None:
        return make()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part.npy")
        np.save(unfinished, make())
        unfinished.replace(path)
    frames: Picture = np.load(path)
    return frames
