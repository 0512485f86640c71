"""Identity encoder: the face of a portrait as one vector, by ArcFace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.faces.alignment import ALIGNED_SIZE
from models.faces.arcface import ArcFace
from troupe.errors import WeightsError
from troupe.faces import Floats, Picture

__all__ = ["IdentityEncoder"]

INPUT_SHAPE = (ALIGNED_SIZE, ALIGNED_SIZE, 3)


class IdentityEncoder:
    """From an aligned face to the identity vector that the adapters were trained with.

    Args:
        path: path of the ONNX file; one input (1, 3, 112, 112), one output (1, length).
        length: length of the identity vector.

    Raises:
        WeightsError: the file does not exist or holds a different network.
    """

    def __init__(self, path: Path, length: int = 512) -> None:
        self._path = path
        self._network = ArcFace(path, length)
        self._length = length

    def __call__(self, aligned: Picture | Floats) -> Tensor:
        """Encode one face.

        Args:
            aligned: (112, 112, 3) RGB of the aligned face, uint8 or floats in [0, 1]. The network sees [0, 1], without
                the mean and deviation usual for ArcFace: the release does this, so the adapters expect it.

        Returns:
            (1, length) float32 of unit norm.

        Raises:
            ValueError: the picture has a different size.
            WeightsError: the network returns a vector of another length, or one without a direction.
        """
        if aligned.shape != INPUT_SHAPE:
            raise ValueError(f"expected an aligned face of shape {INPUT_SHAPE}, got {aligned.shape}")
        pixels = np.asarray(aligned, dtype=np.float32)
        if aligned.dtype == np.uint8:
            pixels = pixels / np.float32(255)
        vector = self._network(pixels)
        norm = float(np.linalg.norm(vector))
        if vector.shape != (1, self._length) or not np.isfinite(norm) or norm == 0:
            raise WeightsError(f"{self._path} returned an identity vector of shape {vector.shape} and norm {norm}")
        return torch.from_numpy(vector / np.float32(norm))
