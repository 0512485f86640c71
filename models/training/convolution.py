"""Convolutions without batch statistics, so that training does not depend on how a batch is split among workers."""

from __future__ import annotations

import math
from copy import deepcopy

import torch
from torch import Tensor, nn

__all__ = ["Convolution", "Residual", "plain"]

_GAIN = math.sqrt(2 / (1 - 1 / math.pi))
"""Restores the standard deviation of a normal variable after a ReLU (Brock et al., ICLR 2021)."""


class Convolution(nn.Conv2d):
    """A convolution with weight standardisation (Qiao et al., arXiv 1903.10520), padded by half its kernel.

    Its filters have mean 0, a standard deviation that preserves that of the signal, and a learned gain each.
    """

    def __init__(self, channels: int, filters: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(channels, filters, kernel, stride, kernel // 2)
        self.gain = nn.Parameter(torch.full((filters, 1, 1, 1), _GAIN))
        # Only its direction matters, but its norm determines how far an optimizer step rotates it.
        nn.init.normal_(self.weight, std=1 / math.sqrt(self.weight[0].numel()))
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    @property
    def filters(self) -> Tensor:
        """The standardised filters, (filters, channels, kernel, kernel)."""
        away = self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)
        spread = away.square().mean(dim=(1, 2, 3), keepdim=True) * self.weight[0].numel()
        filters: Tensor = away * torch.rsqrt(spread + 1e-8) * self.gain
        return filters

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B, channels, H, W) to (B, filters, H / stride, W / stride)."""
        found: Tensor = self._conv_forward(x, self.filters, self.bias)
        return found


class Residual(nn.Module):
    """A residual block of two convolutions with a small initial scale (SkipInit, De and Smith, NeurIPS 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first: nn.Conv2d = Convolution(channels, channels)
        self.second: nn.Conv2d = Convolution(channels, channels)
        self.share = nn.Parameter(torch.tensor(0.2))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return torch.relu(x + self.second(torch.relu(self.first(x))) * self.share)


def plain(network: nn.Module) -> nn.Module:
    """Return a copy with ordinary convolutions, whose weights are the standardised filters."""
    copy = deepcopy(network)
    for parent in list(copy.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, Convolution):
                setattr(parent, name, _plain(layer))
    return copy


def _plain(layer: Convolution) -> nn.Conv2d:
    (kernel, _), (stride, _) = layer.kernel_size, layer.stride
    fixed = nn.Conv2d(layer.in_channels, layer.out_channels, kernel, stride, kernel // 2)
    with torch.no_grad():
        fixed.weight.copy_(layer.filters)
        assert fixed.bias is not None
        assert layer.bias is not None
        fixed.bias.copy_(layer.bias)
    return fixed
