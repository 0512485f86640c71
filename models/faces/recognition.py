"""Face recognition: whether two faces belong to the same person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np

from models.faces.alignment import align_face
from models.faces.arcface import ArcFace
from troupe.errors import NoFace
from troupe.faces import Face, Floats, Picture

__all__ = ["FaceRecogniser", "Recognise"]

Recognise: TypeAlias = Callable[[Picture, Face], Floats]
"""Returns a unit vector for a face in a picture; vectors of the same person have a high cosine similarity."""


class FaceRecogniser:
    """An ArcFace network whose input is normalised to [-1, 1], as such networks are usually trained.

    (`models.appearance.IdentityEncoder` feeds the same network differently, as the release does; its vectors are for
    the adapters.)

    Args:
        path: path of an ONNX file; one input (1, 3, 112, 112), one output (1, length).

    Raises:
        WeightsError: the file cannot be read or holds a different network.
    """

    def __init__(self, path: Path) -> None:
        self._network = ArcFace(path)

    def __call__(self, picture: Picture, face: Face) -> Floats:
        """Return (length,) float32 of unit norm; zeros, which match nobody, for a face that cannot be aligned."""
        try:
            pixels = align_face(picture, face.keypoints) * 2 - 1
        except NoFace:
            return np.zeros(1, dtype=np.float32)
        vector = self._network(pixels).ravel()
        return vector / np.float32(max(float(np.linalg.norm(vector)), 1e-12))
