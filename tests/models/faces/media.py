"""Frames of real clips."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from troupe.faces import Picture


def frames(path: Path, limit: int) -> Iterator[Picture]:
    """Decode the first frames of a clip with OpenCV, as those of the golden files were."""
    capture = cv2.VideoCapture(str(path))
    for _ in range(limit):
        good, frame = capture.read()
        assert good, f"{path} has fewer than {limit} frames"
        yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    capture.release()
