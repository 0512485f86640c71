"""Whether two faces are the same person's, by a face recognition network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnxruntime
import torch

from models.faces.alignment import ALIGNED_SIZE, align_face
from troupe.errors import NoFace, WeightsError
from troupe.faces import Face, Floats, Picture

__all__ = ["FaceRecogniser", "Recognise"]

Recognise: TypeAlias = Callable[[Picture, Face], Floats]
"""A unit vector for a face in a picture; those of one person point the same way."""


class FaceRecogniser:
    """Tells people apart by any network with ArcFace's input, normalised as such networks are trained.

    (The identity encoder feeds the same network differently, as the release does; its vectors are for the adapters.)

    Args:
        path: ONNX file; one input (1, 3, 112, 112), one output (1, length).

    Raises:
        WeightsError: the file is no such network.
    """

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # what goes wrong is raised too
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no class below this one
            first_line = str(error).partition("\n")[0]
            raise WeightsError(f"{path} cannot be read as an ONNX network: {first_line}") from error
        self._input = self._session.get_inputs()[0].name
        if self._session.get_inputs()[0].shape[-1] not in (ALIGNED_SIZE, None):
            raise WeightsError(f"{path} is no face recognition network: its input is not 112 pixels wide")

    def __call__(self, picture: Picture, face: Face) -> Floats:
        """(length,) float32 of unit norm; zeros for a face that cannot be aligned, which is like nobody."""
        try:
            pixels = align_face(picture, face.keypoints) * 2 - 1
        except NoFace:
            return np.zeros(1, dtype=np.float32)
        batch = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
        vector = np.asarray(self._session.run(None, {self._input: batch})[0], dtype=np.float32).ravel()
        return vector / np.float32(max(float(np.linalg.norm(vector)), 1e-12))
