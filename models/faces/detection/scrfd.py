"""SCRFD face detection (Guo et al., ICLR 2022), run by insightface from an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import torch
from insightface.model_zoo import SCRFD, get_model

from models.faces.detection.padding import detect_padded, visible
from models.faces.detection.region import crop_region
from troupe.errors import WeightsError
from troupe.faces import Face, Floats, Picture

__all__ = ["SCRFDetector"]

INPUT_SIZE = (640, 640)
"""Width and height of the input for files with a dynamic input size; a fixed one takes precedence."""
MIN_SCORE = 0.5
NMS_IOU = 0.4
MAX_SIDE = 1920
"""Longer side in pixels to which larger pictures are reduced first: the bilinear resize to the network's input would
skip pixels of much larger ones, and the padded retries would copy them up to nine times over."""
NEAR_SIZE = 224
"""Side in pixels of the input around one face, which is then about half as wide: the size that SCRFD detects best."""
MAX_THREADS = 4
"""Maximum number of threads; so small a network gains nothing from more."""


class SCRFDetector:
    """Face detection with an SCRFD network with keypoints.

    Args:
        path: path of an ONNX file with 9 or 15 outputs (scores, boxes and keypoints of every stride).
        device: device to run on; `cuda` is ignored unless onnxruntime was built with it.

    Raises:
        WeightsError: the file cannot be read or holds a different network.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        # Absolute, because insightface interprets other names as its model packs; symbolic links are kept,
        # because files in a hub's cache have a suffix in the link's name only.
        absolute = path.absolute()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = min(torch.get_num_threads(), MAX_THREADS)
        options.log_severity_level = 4  # errors are raised as well
        on_gpu = device.type == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
        gpu = [("CUDAExecutionProvider", {"device_id": device.index or 0})] if on_gpu else []
        try:
            model = get_model(str(absolute), providers=[*gpu, "CPUExecutionProvider"], sess_options=options)
        except Exception as error:  # onnxruntime's errors have no common base class but Exception
            first_line = str(error).partition("\n")[0]
            raise WeightsError(f"{path} cannot be read as an ONNX network: {first_line}") from error
        if not isinstance(model, SCRFD) or not model.use_kps:
            raise WeightsError(f"{path} is not an SCRFD network with keypoints; it needs 9 or 15 outputs")
        # Context 0 keeps the providers selected above; -1 would create the session again.
        model.prepare(0, input_size=INPUT_SIZE, det_thresh=MIN_SCORE, nms_thresh=NMS_IOU)
        self._model = model
        self._near = _resized(absolute, [*gpu, "CPUExecutionProvider"])

    def detect(self, picture: Picture) -> list[Face]:
        """See `FaceDetector.detect`; best score first."""
        height, width = picture.shape[:2]
        scale = min(MAX_SIDE / max(height, width), 1.0)
        if scale == 1.0:
            return detect_padded(self._run, picture)
        sides = (max(round(width * scale), 1), max(round(height * scale), 1))
        small = cv2.resize(picture, sides, interpolation=cv2.INTER_AREA)
        ratio = np.array([width / sides[0], height / sides[1]], dtype=np.float32)
        return [
            Face(face.box * np.tile(ratio, 2), face.keypoints * ratio, face.score)
            for face in detect_padded(self._run, np.asarray(small, dtype=np.uint8))
        ]

    def detect_near(self, picture: Picture, box: Floats) -> list[Face]:
        """See `FaceDetector.detect_near`; best score first."""
        region = crop_region(picture, box, NEAR_SIZE)
        if region is None:
            return []
        faces = [region.to_picture(face) for face in _run(self._near or self._model, region.picture)]
        return [face for face in faces if visible(face, picture.shape[1], picture.shape[0])]

    def _run(self, picture: Picture) -> list[Face]:
        return _run(self._model, picture)


def _run(model: SCRFD, picture: Picture) -> list[Face]:
    boxes, keypoints = model.detect(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return [
        Face(box[:4].astype(np.float32), points.astype(np.float32), float(box[4]))
        for box, points in zip(boxes, keypoints, strict=True)
    ]


def _resized(path: Path, providers: list[Any]) -> SCRFD | None:
    """Load the network with a small input size, even if its file fixes another; None if its graph depends on that."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # too little work for more threads, and other cores decode
    options.log_severity_level = 4
    network = onnx.load(path)
    for side in network.graph.input[0].type.tensor_type.shape.dim[2:]:
        side.dim_value = NEAR_SIZE  # also replaces the name of a dynamic axis
    for output in network.graph.output:
        output.type.tensor_type.ClearField("shape")
    try:
        session = onnxruntime.InferenceSession(network.SerializeToString(), options, providers=providers)
        model = SCRFD(session=session)
        model.prepare(0, input_size=(NEAR_SIZE, NEAR_SIZE), det_thresh=MIN_SCORE, nms_thresh=NMS_IOU)
        model.detect(np.zeros((NEAR_SIZE, NEAR_SIZE, 3), dtype=np.uint8))
    except Exception:  # a graph that contains its input size fails in many ways
        return None
    return model
