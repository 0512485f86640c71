"""Group normalisation of the denoiser."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["GroupNorm"]

SLOW_BELOW = 1024
"""Pixels. For smaller maps the CPU's channels-last kernel reads memory in strides, six times as slowly in 16 bits."""


class GroupNorm(nn.GroupNorm):
    """GroupNorm over 32 groups of channels, precise even for one-pixel maps.

    A group is then as few as two values. On CPUs the channels-last kernel gets their variance as a difference of
    squares, which is mostly rounding if they are alike; the kernel for plain memory does not.
    """

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__(32, channels, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> the same shape."""
        pixels = x.shape[2:].numel()
        if pixels == 1:
            return super().forward(x.flatten(1)).view(x.shape)
        if pixels < SLOW_BELOW and x.device.type == "cpu" and x.itemsize == 2:
            weight, bias = self.weight.float(), self.bias.float()
            return F.group_norm(x.float(), self.num_groups, weight, bias, self.eps).to(x.dtype)
        return super().forward(x)
