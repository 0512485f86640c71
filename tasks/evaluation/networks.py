"""Networks for measuring, loaded from the user's files; none is part of troupe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.animator import Animator
from models.faces.alignment import ALIGNED_SIZE
from models.faces.arcface import ArcFace
from tasks.quality.torchscript import TorchScript
from troupe import Picture
from troupe.errors import WeightsError
from troupe.faces import Floats

__all__ = ["Embedder", "Networks", "batch"]


class Embedder:
    """Identity embedding of a face, by an ArcFace network of the user's or by the model's own identity encoder.

    Args:
        animator: model whose identity encoder is used where `path` is None. The encoder was trained with the model
            and favours it.
        path: ONNX file of a network from (1, 3, 112, 112) RGB, scaled as (x - 127.5) / 128, to (1, N).

    Raises:
        WeightsError: the file cannot be used.
    """

    def __init__(self, animator: Animator, path: Path | None) -> None:
        self._animator = animator
        self._network = ArcFace(path) if path else None
        self.name = path.name if path else "the model's own identity encoder"
        if self._network is None:
            return
        try:
            self._embed(self._network, np.zeros((ALIGNED_SIZE, ALIGNED_SIZE, 3), np.float32))
        except Exception as error:  # onnxruntime's errors have no base class of their own
            raise WeightsError(f"{path} cannot be used as a face embedder: {error}") from error

    def __call__(self, aligned: Floats) -> Tensor:
        """Embed a face, (1, N). It is aligned by `models.faces.align_face`, (112, 112, 3) float32 in [0, 1]."""
        return self._animator.identify(aligned) if self._network is None else self._embed(self._network, aligned)

    @staticmethod
    def _embed(network: ArcFace, aligned: Floats) -> Tensor:
        pixels = (aligned * np.float32(255) - np.float32(127.5)) / np.float32(128)
        return torch.from_numpy(network(pixels)).reshape(1, -1)


@dataclass(frozen=True)
class Networks:
    """Networks of an evaluation; None where no file was given.

    Attributes:
        lpips: network from (N, 3, H, W) and (N, 3, H, W), both in [-1, 1], to N distances.
        inception: network from (N, 3, H, W) uint8 to (N, D) features, for FID.
        video: network from (N, 3, T, H, W) float32 in 0..255 to (N, D) features, for FVD.
    """

    lpips: TorchScript | None = None
    inception: TorchScript | None = None
    video: TorchScript | None = None

    @property
    def missing(self) -> frozenset[str]:
        """Names of the measures whose network is missing."""
        needs = (("lpips", self.lpips), ("temporal_lpips", self.lpips), ("fid", self.inception), ("fvd", self.video))
        return frozenset(measure for measure, network in needs if network is None)


def batch(frames: list[Picture]) -> Tensor:
    """Stack frames as (N, 3, H, W) uint8."""
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
