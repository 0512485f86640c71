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

__all__ = ["CLIP_FRAMES", "Embedder", "Networks", "batch", "open_embedder", "try_network"]

CLIP_FRAMES = 16
"""Number of frames in each clip that FVD compares; clips do not overlap."""


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
        self._network = open_embedder(path) if path else None
        self.name = path.name if path else "the model's own identity encoder"

    def __call__(self, aligned: Floats) -> Tensor:
        """Embed a face, (1, N). It is aligned by `models.faces.align_face`, (112, 112, 3) float32 in [0, 1]."""
        return self._animator.identify(aligned) if self._network is None else _embed(self._network, aligned)


def open_embedder(path: Path) -> ArcFace:
    """Return the network of an embedder's file, after one call.

    Raises:
        WeightsError: the file cannot be used.
    """
    network = ArcFace(path)
    try:
        _embed(network, np.zeros((ALIGNED_SIZE, ALIGNED_SIZE, 3), np.float32))
    except Exception as error:  # onnxruntime's errors have no base class of their own
        raise WeightsError(f"{path} cannot be used as a face embedder: {error}") from error
    return network


def _embed(network: ArcFace, aligned: Floats) -> Tensor:
    pixels = (aligned * np.float32(255) - np.float32(127.5)) / np.float32(128)
    return torch.from_numpy(network(pixels)).reshape(1, -1)


def try_network(name: str, path: Path, side: int) -> None:
    """Open a file of `Networks` and call it once, on the CPU.

    Args:
        name: `lpips`, `inception` or `video_features`.
        side: sides of the frames in pixels.

    Raises:
        WeightsError: the file cannot be used.
    """
    network = TorchScript(path, torch.device("cpu"), f"--{name.replace('_', '-')}")
    frames = torch.zeros(2, 3, side, side)
    if name == "lpips":
        network(frames, frames)
    elif name == "inception":
        network(frames.to(torch.uint8))
    else:
        network(frames[:1, :, None].expand(-1, -1, CLIP_FRAMES, -1, -1))


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
