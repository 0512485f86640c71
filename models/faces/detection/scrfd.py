"""SCRFD (Guo et al., ICLR 2022), run by insightface from a file of the user's."""

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
"""Width and height given to files whose input is free; a fixed one wins."""
MIN_SCORE = 0.5
NMS_IOU = 0.4
MAX_SIDE = 1920
"""Pixels of the longer side a picture is reduced to beforehand: the plain bilinear reduction to the network's input
skips pixels of anything much larger, and the padded retries would copy it up to nine times over."""
NEAR_SIZE = 224
"""Pixels of the input for the surroundings of one face, which then is about half as wide: what it knows best."""
MAX_THREADS = 4
"""So small a network gains nothing from more."""


class SCRFDetector:
    """Faces by an SCRFD with keypoints.

    Args:
        path: an ONNX file with 9 or 15 outputs (scores, boxes and keypoints of every stride).
        device: `cuda` counts only where onnxruntime was built with it.

    Raises:
        WeightsError: the file is no such network.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        # Absolute, because insightface takes other names for those of its own model packs; symbolic links are kept,
        # because the files of a hub's cache have their suffix in the link's name only.
        absolute = path.absolute()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = min(torch.get_num_threads(), MAX_THREADS)
        options.log_severity_level = 4  # what goes wrong is raised too
        on_gpu = device.type == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
        gpu = [("CUDAExecutionProvider", {"device_id": device.index or 0})] if on_gpu else []
        try:
            model = get_model(str(absolute), providers=[*gpu, "CPUExecutionProvider"], sess_options=options)
        except Exception as error:  # onnxruntime's errors share no class below this one
            first_line = str(error).partition("\n")[0]
            raise WeightsError(f"{path} cannot be read as an ONNX network: {first_line}") from error
        if not isinstance(model, SCRFD) or not model.use_kps:
            raise WeightsError(f"{path} is no SCRFD with keypoints: it needs 9 or 15 outputs")
        # Context 0 keeps the providers chosen above; -1 would start the session again.
        model.prepare(0, input_size=INPUT_SIZE, det_thresh=MIN_SCORE, nms_thresh=NMS_IOU)
        self._model = model
        self._near = _resized(absolute, [*gpu, "CPUExecutionProvider"])

    def detect(self, picture: Picture) -> list[Face]:
        """See `FaceDetector.detect`; best score first."""
        height, width = picture.shape[:2]
        scale = min(MAX_SIDE / max(height, width), 1.0)
        if scale == 1.0:
            return detect_padded(self._look, picture)
        sides = (max(round(width * scale), 1), max(round(height * scale), 1))
        small = cv2.resize(picture, sides, interpolation=cv2.INTER_AREA)
        ratio = np.array([width / sides[0], height / sides[1]], dtype=np.float32)
        return [
            Face(face.box * np.tile(ratio, 2), face.keypoints * ratio, face.score)
            for face in detect_padded(self._look, np.asarray(small, dtype=np.uint8))
        ]

    def detect_near(self, picture: Picture, box: Floats) -> list[Face]:
        """See `FaceDetector.detect_near`; best score first."""
        region = crop_region(picture, box, NEAR_SIZE)
        if region is None:
            return []
        faces = [region.to_picture(face) for face in _look(self._near or self._model, region.picture)]
        return [face for face in faces if visible(face, picture.shape[1], picture.shape[0])]

    def _look(self, picture: Picture) -> list[Face]:
        return _look(self._model, picture)


def _look(model: SCRFD, picture: Picture) -> list[Face]:
    boxes, keypoints = model.detect(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return [
        Face(box[:4].astype(np.float32), points.astype(np.float32), float(box[4]))
        for box, points in zip(boxes, keypoints, strict=True)
    ]


def _resized(path: Path, providers: list[Any]) -> SCRFD | None:
    """The same network with a small input, whatever size its file fixes; None if its graph cannot do without."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # too little work to share: the other cores decode
    options.log_severity_level = 4
    network = onnx.load(path)
    for side in network.graph.input[0].type.tensor_type.shape.dim[2:]:
        side.dim_value = NEAR_SIZE  # takes the place of a name as well
    for output in network.graph.output:
        output.type.tensor_type.ClearField("shape")
    try:
        session = onnxruntime.InferenceSession(network.SerializeToString(), options, providers=providers)
        model = SCRFD(session=session)
        model.prepare(0, input_size=(NEAR_SIZE, NEAR_SIZE), det_thresh=MIN_SCORE, nms_thresh=NMS_IOU)
        model.detect(np.zeros((NEAR_SIZE, NEAR_SIZE, 3), dtype=np.uint8))
    except Exception:  # onnxruntime's errors share no class; a graph with sizes built in fails in many ways
        return None
    return model
