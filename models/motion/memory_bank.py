"""Motion memory bank: a Perceiver whose learned tokens collect a frame's motion (arXiv 2503.18860, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.config import RefinerConfig

__all__ = ["MemoryBank"]


class MemoryBank(nn.Module):
    """Learned tokens, and the blocks in which they attend to a frame's expression.

    Attribute names are those of the checkpoint.

    Args:
        config: sizes.
        out_width: width of the tokens returned.
    """

    def __init__(self, config: RefinerConfig, out_width: int) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(config.latents, config.width) / config.width**0.5)
        self.intensity_aware_linear = nn.Linear(config.width, config.width)
        self.proj_in = nn.Linear(config.expression, config.width)
        self.perceiver_blocks = nn.ModuleList(_Block(config.width, config.heads) for _ in range(config.depth))
        self.proj_out = nn.Sequential(nn.Linear(config.width, out_width), nn.LayerNorm(out_width))

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """(F, E) features and (F, width) intensity embeddings -> (F, L, out width)."""
        # Every use of the embedding, here and in the blocks, starts with the same silu.
        condition = F.silu(embedding)[:, None]
        latents = self.latents + self.intensity_aware_linear(condition)
        expression = self.proj_in(features)[:, None]
        for block in self.perceiver_blocks:
            latents = block(latents, expression, condition)
        refined: Tensor = self.proj_out(latents)
        return refined


class _Block(nn.Module):
    """Attention of the tokens to themselves and the expression, then a feed-forward layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = _FeedForward(width)
        self.ln_1 = _AdaptiveNorm(width)
        self.ln_2 = _AdaptiveNorm(width)
        self.ln_ff = _AdaptiveNorm(width)

    def forward(self, latents: Tensor, expression: Tensor, condition: Tensor) -> Tensor:
        query = self.ln_1(latents, condition)
        context = torch.cat([query, self.ln_2(expression, condition)], dim=1)
        latents = latents + self.attn(query, context, context, need_weights=False)[0]
        out: Tensor = latents + self.mlp(self.ln_ff(latents, condition))
        return out


class _AdaptiveNorm(nn.Module):
    """LayerNorm with shift and scale predicted from the condition (F, 1, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.linear = nn.Linear(width, 2 * width)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift, scale = self.linear(condition).chunk(2, dim=-1)
        normed: Tensor = self.norm(x) * (1 + scale) + shift
        return normed


class _FeedForward(nn.Module):
    """Two linear layers, four times as wide between them, with a squared ReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.c_proj(F.relu(self.c_fc(x)).square())
        return out
