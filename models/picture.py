"""Conversion of pictures to tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from troupe import Picture

__all__ = ["unit"]

CPU = torch.device("cpu")


def unit(picture: Picture, device: torch.device = CPU) -> Tensor:
    """Convert (H, W, 3) uint8 to (3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(picture.copy()).to(device).permute(2, 0, 1).float() / 255
