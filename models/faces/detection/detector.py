"""What finds faces, behind one small interface."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch

from troupe.errors import WeightsError
from troupe.faces import Face, Floats, Picture

__all__ = ["FaceDetector", "open_detector"]


class FaceDetector(Protocol):
    """Finds faces, one picture at a time."""

    def detect(self, picture: Picture) -> list[Face]:
        """All faces of the picture (H, W, 3), in its pixels; empty if there is none. Boxes may reach outside."""

    def detect_near(self, picture: Picture, box: Floats) -> list[Face]:
        """The faces around `box`, (4,) of a face in the picture before; a quick look that may miss what is there."""


def open_detector(path: Path, device: torch.device | str | None = None) -> FaceDetector:
    """The detector of that file: `.onnx` is an SCRFD, `.pt` or `.torchscript` a TorchScript YOLOv5-face.

    Args:
        path: of the weights.
        device: where to run it; None takes a CUDA device if there is one.

    Raises:
        WeightsError: there is no such file, or it holds something else.

    Example:
        >>> faces = open_detector(Path("weights/detector.onnx")).detect(picture)
    """
    if not path.is_file():
        raise WeightsError(f"there is no face detector at {path}; name an .onnx (SCRFD) or .pt (YOLOv5-face) file")
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    # Imported on demand: each brings a runtime of its own that who uses the other one need not load.
    if path.suffix == ".onnx":
        from models.faces.detection.scrfd import SCRFDetector

        return SCRFDetector(path, place)
    if path.suffix in (".pt", ".torchscript"):
        from models.faces.detection.yoloface import YoloFaceDetector

        return YoloFaceDetector(path, place)
    raise WeightsError(f"{path} is no face detector by its name; an .onnx (SCRFD) or .pt (YOLOv5-face) file is needed")
