"""The files of the face networks in a weights directory. Imports no network, so that a request is checked at once."""

from __future__ import annotations

from pathlib import Path

from troupe.errors import WeightsError
from troupe.files import is_torchscript

__all__ = ["DETECTOR_FILES", "RECOGNISER_FILE", "check_detector", "detector_file", "recogniser_file"]

RECOGNISER_FILE = "arcface.onnx"
DETECTOR_FILES = ("detector.onnx", "yoloface_v5m.pt")
"""In order of preference; the second is the release's."""
SCRFD_OUTPUTS = (9, 15)
"""Numbers of outputs of an SCRFD network with keypoints: scores, boxes and keypoints of three or five strides."""


def check_detector(path: Path) -> None:
    """Check that a file can be opened as a face detector, as far as its structure shows it.

    Raises:
        WeightsError: it is not one.
    """
    if path.suffix == ".onnx":
        import onnx  # a request without a detector of its own needs it in the workers only

        try:
            outputs = len(onnx.load(path, load_external_data=False).graph.output)
        except Exception as error:  # of protobuf, which has no common base class but Exception
            raise WeightsError(f"{path} cannot be read as an ONNX network: {error}") from error
        if outputs not in SCRFD_OUTPUTS:
            raise WeightsError(f"{path} is not an SCRFD network with keypoints; it needs 9 or 15 outputs")
    elif path.suffix in (".pt", ".torchscript"):
        if not is_torchscript(path):
            raise WeightsError(f"{path} cannot be read as a TorchScript module")
    else:
        raise WeightsError(f"{path} is not a face detector; use an .onnx (SCRFD) or .pt (YOLOv5-face) file")


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
