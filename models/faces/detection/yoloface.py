"""YOLOv5-face (Qi et al., arXiv 2105.12931) as TorchScript, the detector of the HunyuanPortrait release."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from models.faces.detection.boxes import non_max_suppression
from models.faces.detection.padding import detect_padded, visible
from models.faces.detection.region import crop_region
from troupe.errors import WeightsError
from troupe.faces import Face, Floats, Picture

__all__ = ["YoloFaceDetector"]

SHORT_SIDE = 416
NEAR_SIZE = 416
"""Side in pixels of the input around one face, which is what the network resizes any square to."""
STRIDES = (8, 16, 32)
MIN_SCORE = 0.5
NMS_IOU = 0.45
CANDIDATE_COLUMNS = 16
"""Columns of a candidate: centre x, centre y, width, height, objectness, five times (x, y), class."""


class YoloFaceDetector:
    """Face detection with a TorchScript module, called as `module(image, grids)`.

    A TorchScript file can run any code: use only files that you trust.

    `image` is (1, 3, h, w), RGB in [0, 1], h and w multiples of 32; `grids` are three tensors (1, 1, h/s, w/s, 2) of
    the (x, y) of cells for the strides s = 8, 16, 32. The module returns candidates (1, N, 16) in pixels of `image`.

    Args:
        path: path of the TorchScript file.
        device: device to run on.

    Raises:
        WeightsError: the file cannot be read or holds a different module; raised by `detect` for an unexpected output.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        self._path = path.absolute()
        self._device = device
        try:
            with warnings.catch_warnings():
                # TorchScript is deprecated, but the released file is in this format.
                warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
                self._module = torch.jit.load(str(path), map_location=device).eval()  # type: ignore[no-untyped-call]
        except (RuntimeError, ValueError) as error:
            first_line = str(error).partition("\n")[0]
            raise WeightsError(f"{path} cannot be read as a TorchScript module: {first_line}") from error
        arguments = [argument.name for argument in self._module.forward.schema.arguments]
        if len(arguments) != 3:
            raise WeightsError(
                f"{path} is not a YOLOv5-face network: its arguments are {arguments}, expected self, image and grids"
            )

    def detect(self, picture: Picture) -> list[Face]:
        """See `FaceDetector.detect`; best score first."""
        return detect_padded(self._run, picture)

    def detect_near(self, picture: Picture, box: Floats) -> list[Face]:
        """See `FaceDetector.detect_near`; best score first."""
        region = crop_region(picture, box, NEAR_SIZE)
        if region is None:
            return []
        faces = [region.to_picture(face) for face in self._run(region.picture)]
        return [face for face in faces if visible(face, picture.shape[1], picture.shape[0])]

    def _run(self, picture: Picture) -> list[Face]:
        height, width = input_size(*picture.shape[:2])
        resized = torch.from_numpy(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR))
        image = resized.to(self._device).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            output = self._module(image, grids(height, width, self._device))
        if (
            not isinstance(output, Tensor)
            or output.ndim != 3
            or output.shape[0] != 1
            or output.shape[2] != CANDIDATE_COLUMNS
        ):
            returned = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise WeightsError(
                f"{self._path} is not a YOLOv5-face network: it returns {returned}, "
                f"expected (1, N, {CANDIDATE_COLUMNS})"
            )
        candidates = np.asarray(output[0].float().cpu().numpy(), dtype=np.float32)
        return decode(candidates, picture.shape[1] / width, picture.shape[0] / height)


def input_size(height: int, width: int) -> tuple[int, int]:
    """Return the input's height and width for a picture: the short side about 416, both multiples of 32."""
    ratio = SHORT_SIDE / min(height, width)
    tall, wide = (int(side * ratio + 31) // 32 * 32 for side in (height, width))
    return tall, wide


def grids(height: int, width: int, device: torch.device) -> list[Tensor]:
    """Return the (x, y) cell indices for each stride s, (1, 1, height/s, width/s, 2) float32."""
    result = []
    for stride in STRIDES:
        x = torch.arange(width // stride, dtype=torch.float32, device=device)
        y = torch.arange(height // stride, dtype=torch.float32, device=device)
        result.append(torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[None, None])
    return result


def decode(candidates: Floats, x_scale: float, y_scale: float) -> list[Face]:
    """Convert candidates (N, 16) to faces, scaled from the network's input to the picture; best score first."""
    objectness = candidates[:, 4]
    scores = objectness * candidates[:, 15]
    accepted = (objectness > MIN_SCORE) & (scores > MIN_SCORE)
    candidates, scores = candidates[accepted], scores[accepted]
    centres, halves = candidates[:, :2], candidates[:, 2:4] / 2
    boxes = np.concatenate([centres - halves, centres + halves], axis=1)
    scale = np.array([x_scale, y_scale], dtype=np.float32)
    return [
        Face(boxes[i] * np.tile(scale, 2), candidates[i, 5:15].reshape(5, 2) * scale, float(scores[i]))
        for i in non_max_suppression(boxes, scores, NMS_IOU)
    ]
