"""Pose guider: from a pose image to a feature map for the denoiser's first layer."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["PoseGuider"]

WIDTHS = (16, 32, 96, 256)


class PoseGuider(nn.Module):
    """Convolutions that reduce an image to an eighth of its size.

    The animator only passes a black image, so one call gives the feature of every frame and step.

    Args:
        channels: channels of the feature map: the denoiser's first width.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, WIDTHS[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for width, wider in pairwise(WIDTHS):
            self.blocks.append(nn.Conv2d(width, width, 3, padding=1))
            self.blocks.append(nn.Conv2d(width, wider, 3, padding=1, stride=2))
        self.conv_out = nn.Conv2d(WIDTHS[-1], channels, 3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, C, H / 8, W / 8)."""
        x = F.silu(self.conv_in(pictures))
        for block in self.blocks:
            x = F.silu(block(x))
        out: Tensor = self.conv_out(x)
        return out
