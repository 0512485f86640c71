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
"""Pixels of the surroundings of one face: what the network makes of any square."""
STRIDES = (8, 16, 32)
MIN_SCORE = 0.5
NMS_IOU = 0.45
CANDIDATE_COLUMNS = 16
"""Of a candidate: centre x, centre y, width, height, objectness, five times (x, y), class."""


class YoloFaceDetector:
    """Faces by a TorchScript module called as `module(image, grids)`.

    Such a file is a program: use only what you trust.

    `image` is (1, 3, h, w), RGB in [0, 1], h and w multiples of 32; `grids` are three (1, 1, h/s, w/s, 2) of the cells'
    (x, y) for the strides s = 8, 16, 32. It returns (1, N, 16) candidates in pixels of `image`.

    Args:
        path: of the TorchScript file.
        device: where it runs.

    Raises:
        WeightsError: the file is no such module; from `detect`, that it does not answer as one.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        self._path = path.absolute()
        self._device = device
        try:
            with warnings.catch_warnings():
                # TorchScript is deprecated, but it is what the released file is.
                warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
                self._module = torch.jit.load(str(path), map_location=device).eval()  # type: ignore[no-untyped-call]
        except (RuntimeError, ValueError) as error:
            first_line = str(error).partition("\n")[0]
            raise WeightsError(f"{path} cannot be read as a TorchScript module: {first_line}") from error
        arguments = [argument.name for argument in self._module.forward.schema.arguments]
        if len(arguments) != 3:
            raise WeightsError(f"{path} is no YOLOv5-face: it takes {arguments}, not itself, an image and three grids")

    def detect(self, picture: Picture) -> list[Face]:
        """See `FaceDetector.detect`; best score first."""
        return detect_padded(self._look, picture)

    def detect_near(self, picture: Picture, box: Floats) -> list[Face]:
        """See `FaceDetector.detect_near`; best score first."""
        region = crop_region(picture, box, NEAR_SIZE)
        if region is None:
            return []
        faces = [region.to_picture(face) for face in self._look(region.picture)]
        return [face for face in faces if visible(face, picture.shape[1], picture.shape[0])]

    def _look(self, picture: Picture) -> list[Face]:
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
            answer = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise WeightsError(f"{self._path} is no YOLOv5-face: it answers {answer}, not (1, N, {CANDIDATE_COLUMNS})")
        candidates = np.asarray(output[0].float().cpu().numpy(), dtype=np.float32)
        return decode(candidates, picture.shape[1] / width, picture.shape[0] / height)


def input_size(height: int, width: int) -> tuple[int, int]:
    """Height and width of the network's input for a picture: the short side near 416, both multiples of 32."""
    ratio = SHORT_SIDE / min(height, width)
    tall, wide = (int(side * ratio + 31) // 32 * 32 for side in (height, width))
    return tall, wide


def grids(height: int, width: int, device: torch.device) -> list[Tensor]:
    """(1, 1, height/s, width/s, 2) float32 of (x, y) cell indices for each stride s."""
    result = []
    for stride in STRIDES:
        x = torch.arange(width // stride, dtype=torch.float32, device=device)
        y = torch.arange(height // stride, dtype=torch.float32, device=device)
        result.append(torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[None, None])
    return result


def decode(candidates: Floats, x_scale: float, y_scale: float) -> list[Face]:
    """Candidates (N, 16) of the network as faces, scaled from its input to the picture; best score first."""
    objectness = candidates[:, 4]
    scores = objectness * candidates[:, 15]
    sure = (objectness > MIN_SCORE) & (scores > MIN_SCORE)
    candidates, scores = candidates[sure], scores[sure]
    centres, halves = candidates[:, :2], candidates[:, 2:4] / 2
    boxes = np.concatenate([centres - halves, centres + halves], axis=1)
    scale = np.array([x_scale, y_scale], dtype=np.float32)
    return [
        Face(boxes[i] * np.tile(scale, 2), candidates[i, 5:15].reshape(5, 2) * scale, float(scores[i]))
        for i in non_max_suppression(boxes, scores, NMS_IOU)
    ]
