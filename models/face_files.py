"""The files of the face networks in a weights directory. Imports no network, so that a request is checked at once."""

from __future__ import annotations

from pathlib import Path

from troupe.errors import WeightsError

__all__ = ["DETECTOR_FILES", "RECOGNISER_FILE", "detector_file", "recogniser_file"]

RECOGNISER_FILE = "arcface.onnx"
DETECTOR_FILES = ("detector.onnx", "yoloface_v5m.pt")
"""In order of preference; the second is the release's."""


def recogniser_file(directory: Path) -> Path:
    """Return the path of the directory's face recognition network."""
    return directory / RECOGNISER_FILE


def detector_file(directory: Path) -> Path:
    """Return the path of the directory's face detector: `detector.onnx` if it exists, else the release's.

    Raises:
        WeightsError: neither exists.
    """
    for name in DETECTOR_FILES:
        if (directory / name).is_file():
            return directory / name
    raise WeightsError(f"{directory} has no detector ({' or '.join(DETECTOR_FILES)}); name one with --detector")
