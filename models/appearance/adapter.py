"""Identity adapter (IMAdapter): conditions the vision transformer on the identity (arXiv 2503.18860, section 3.3).

As released, an adapter runs the patches through convolutions of three sizes and the result queries the identity
token. With one token to attend to, the softmax is always 1: the convolutions and the queries change nothing and get no
gradient. They are part of the weights, so they are declared here, but never computed.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.config import AppearanceConfig
from troupe.errors import WeightsError

__all__ = ["IdentityAdapter"]


class IdentityAdapter(nn.Module):
    """A bottleneck beside a block's feed-forward layer, whose patch tokens attend to the identity.

    Args:
        config: sizes.

    Raises:
        WeightsError: the sizes are inconsistent.
    """

    def __init__(self, config: AppearanceConfig) -> None:
        super().__init__()
        inner = _branch_widths(config.adapter_width)
        self.prefix = 1 + config.registers
        self.branch1 = _conv_norm(config.adapter_width, inner.half, 1)
        self.branch2 = _branch(config.adapter_width, inner, 3)
        self.branch3 = _branch(config.adapter_width, inner, 5)
        self.D_fc1 = nn.Linear(config.width, config.adapter_width)
        self.D_fc2 = nn.Linear(config.adapter_width, config.width)
        self.cross_attn = _IdentityAttention(config)

    def forward(self, tokens: Tensor, identity: Tensor) -> Tensor:
        """
        Args:
            tokens: (B, sequence, width): class, registers, patches.
            identity: (B, identity).

        Returns:
            (B, sequence, width), without a residual of `tokens`.
        """
        x = F.relu(self.D_fc1(tokens))
        attended = self.cross_attn(identity)[:, None]
        # The first tokens do not attend; they are added to themselves.
        x = torch.cat([2 * x[:, : self.prefix], x[:, self.prefix :] + attended], dim=1)
        out: Tensor = self.D_fc2(x)
        return out


class _IdentityAttention(nn.Module):
    """Attention to a single token: its projected value, whatever the query."""

    def __init__(self, config: AppearanceConfig) -> None:
        super().__init__()
        width, heads = config.adapter_attention, config.adapter_heads
        if heads < 1 or width < 1 or width % heads:
            raise WeightsError(f"appearance: adapter_attention {width} does not divide into {heads} heads")
        self.multihead_attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.image_proj = nn.Linear(config.adapter_width, width)
        self.id_proj = nn.Linear(config.identity, width)
        self.back_proj = nn.Linear(width, config.adapter_width)

    def forward(self, identity: Tensor) -> Tensor:
        """(B, identity) to (B, adapter width)."""
        attention = self.multihead_attn
        # torch packs the projections of query, key and value into one tensor, in this order.
        value = F.linear(
            self.id_proj(identity),
            attention.in_proj_weight[2 * attention.embed_dim :],
            attention.in_proj_bias[2 * attention.embed_dim :],
        )
        attended: Tensor = self.back_proj(attention.out_proj(value))
        return attended


class _BranchWidths(NamedTuple):
    half: int
    quarter: int
    sixteenth: int


def _branch_widths(width: int) -> _BranchWidths:
    """The three branches' outputs, a half and two quarters, make up the whole again."""
    if width < 16 or width % 16:
        raise WeightsError(f"appearance: adapter_width {width} must be a multiple of 16")
    return _BranchWidths(width // 2, width // 4, width // 16)


def _branch(width: int, inner: _BranchWidths, kernel: int) -> nn.ModuleList:
    return nn.ModuleList([_conv_norm(width, inner.sixteenth, 1), _conv_norm(inner.sixteenth, inner.quarter, kernel)])


def _conv_norm(channels: int, out: int, kernel: int) -> nn.ModuleDict:
    return nn.ModuleDict(
        {"conv": nn.Conv2d(channels, out, kernel, padding=kernel // 2), "bn": nn.BatchNorm2d(out, eps=1e-3)}
    )
