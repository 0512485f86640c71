"""Appearance of a portrait, as the sampler uses it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Appearance"]


@dataclass(frozen=True, eq=False)
class Appearance:
    """Appearance of a portrait, encoded once and reused for every driving clip.

    Attributes:
        tokens: (A, D) float32, what the denoiser attends to.
        latents: (4, h, w) float32, the autoencoder's mean, unscaled.

    Raises:
        ValueError: wrong shapes or dtypes.
    """

    tokens: Tensor
    latents: Tensor

    def __post_init__(self) -> None:
        kinds = (self.tokens.dtype, self.latents.dtype)
        if (self.tokens.ndim, self.latents.ndim) != (2, 3) or kinds != (torch.float32, torch.float32):
            have = ", ".join(f"{tuple(t.shape)} {t.dtype}" for t in (self.tokens, self.latents))
            raise ValueError(f"an appearance is (A, D) and (C, h, w), both float32; this is {have}")
