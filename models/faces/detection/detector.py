"""The detector interface, and the detector of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch

from troupe.errors import WeightsError
from troupe.faces import Face, Floats, Picture

__all__ = ["FaceDetector", "open_detector"]


class FaceDetector(Protocol):
    """A face detector, for one picture at a time."""

    def detect(self, picture: Picture) -> list[Face]:
        """Return all faces of the picture (H, W, 3), in its pixels; empty if none. Boxes may extend beyond it."""

    def detect_near(self, picture: Picture, box: Floats) -> list[Face]:
        """Return the faces around `box` (4,), of a face in the previous picture; faster, but may miss faces."""


def open_detector(path: Path, device: torch.device | str | None = None) -> FaceDetector:
    """Open the detector of a file: `.onnx` is an SCRFD, `.pt` or `.torchscript` a TorchScript YOLOv5-face.

    Args:
        path: path of the weights.
        device: device to run on; None uses CUDA if available.

    Raises:
        WeightsError: the file is missing or is not a detector.

    Example:
        >>> faces = open_detector(Path("weights/detector.onnx")).detect(picture)
    """
    if not path.is_file():
        raise WeightsError(f"no face detector at {path}; name an .onnx (SCRFD) or .pt (YOLOv5-face) file")
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    # Imported on demand: each brings its own runtime, which users of the other need not load.
    if path.suffix == ".onnx":
        from models.faces.detection.scrfd import SCRFDetector

        return SCRFDetector(path, place)
    if path.suffix in (".pt", ".torchscript"):
        from models.faces.detection.yoloface import YoloFaceDetector

        return YoloFaceDetector(path, place)
    raise WeightsError(f"{path} is not a face detector; use an .onnx (SCRFD) or .pt (YOLOv5-face) file")
