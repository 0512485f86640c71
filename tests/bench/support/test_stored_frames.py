"""Frames that are stored between runs of a benchmark."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.support.stored_frames import stored_frames
from troupe import Picture


def test_stored_frames_are_not_made_again(tmp_path: Path) -> None:
    made = []

    def make() -> Picture:
        made.append(1)
        return np.full((2, 4, 4, 3), 7, np.uint8)

    path = tmp_path / "kept" / "00-00.npy"
    assert (stored_frames(path, make) == stored_frames(path, make)).all()
    assert made == [1]
    stored_frames(None, make)
    assert made == [1, 1]
