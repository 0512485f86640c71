"""Intensity-aware refiner with the motion memory bank (HunyuanPortrait, arXiv 2503.18860, section 3.2).

A frame's expression feature and the liveliness of its surroundings ask a learned bank of tokens for the motion
that the denoiser attends to.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.config import RefinerConfig
from models.motion.intensity import LEVELS
from troupe.errors import WeightsError

__all__ = ["MotionRefiner", "motion_tokens"]

POSE = 6
"""Numbers at the end of a motion token: three angles, and three zeros where the translation would be."""


class MotionRefiner(nn.Module):
    """From expression features and intensities to the part of the motion tokens that is learned.

    Args:
        config: sizes.
        token_width: of a whole motion token, pose included: the denoiser's context width.

    Raises:
        WeightsError: the sizes do not go together.

    Example:
        >>> refiner = MotionRefiner(RefinerConfig(), token_width=1024)
        >>> refiner(torch.randn(2, 512), torch.tensor([[17, 90], [17, 90]])).shape
        torch.Size([2, 64, 1018])
    """

    def __init__(self, config: RefinerConfig, token_width: int) -> None:
        super().__init__()
        if config.heads < 1 or config.width < 1 or config.width % config.heads:
            raise WeightsError(f"refiner: width {config.width} does not divide into {config.heads} heads")
        if config.levels < LEVELS:
            raise WeightsError(f"refiner: {config.levels} levels, but an intensity takes {LEVELS} values")
        if token_width <= POSE:
            raise WeightsError(f"motion tokens of width {token_width} leave nothing beside the {POSE} of the pose")
        self.position_head = nn.Embedding(config.levels, config.width)
        self.position_exp = nn.Embedding(config.levels, config.width)
        self.connector = _MemoryBank(config, token_width - POSE)

    def forward(self, features: Tensor, intensity: Tensor) -> Tensor:
        """
        Args:
            features: (F, expression) of the expression encoder, in the weights' dtype.
            intensity: (F, 2) integers, head and expression, of the chunk each frame lies in.

        Returns:
            (F, latents, token_width - 6).
        """
        head, expression = intensity.unbind(dim=1)
        refined: Tensor = self.connector(features, self.position_head(head) + self.position_exp(expression))
        return refined


def motion_tokens(refined: Tensor, rotation: Tensor) -> Tensor:
    """What the denoiser attends to, of each frame: the refined tokens, each with the head's rotation at its end.

    Args:
        refined: (F, L, W) from `MotionRefiner`.
        rotation: (F, 3), degrees, used as they are.

    Returns:
        (F, L, W + 6) in the dtype of `refined`; the last three numbers of a token are zero.
    """
    pose = F.pad(rotation.to(refined.dtype), (0, POSE - rotation.shape[1]))
    return torch.cat([refined, pose[:, None].expand(-1, refined.shape[1], -1)], dim=-1)


class _MemoryBank(nn.Module):
    """The learned tokens, and the blocks in which they read the expression."""

    def __init__(self, config: RefinerConfig, out: int) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(config.latents, config.width) / config.width**0.5)
        self.intensity_aware_linear = nn.Linear(config.width, config.width)
        self.proj_in = nn.Linear(config.expression, config.width)
        self.perceiver_blocks = nn.ModuleList(_Block(config.width, config.heads) for _ in range(config.depth))
        self.proj_out = nn.Sequential(nn.Linear(config.width, out), nn.LayerNorm(out))

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """(F, E) features and (F, width) intensity embeddings to (F, L, out)."""
        # Every use of the embedding, here and in the blocks, begins with the same silu.
        condition = F.silu(embedding)[:, None]
        latents = self.latents + self.intensity_aware_linear(condition)
        expression = self.proj_in(features)[:, None]
        for block in self.perceiver_blocks:
            latents = block(latents, expression, condition)
        refined: Tensor = self.proj_out(latents)
        return refined


class _Block(nn.Module):
    """The tokens attend to themselves and to the expression, then a feed-forward layer."""

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
    """LayerNorm whose shift and scale follow from the condition (F, 1, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.linear = nn.Linear(width, 2 * width)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift, scale = self.linear(condition).chunk(2, dim=-1)
        normed: Tensor = self.norm(x) * (1 + scale) + shift
        return normed


class _FeedForward(nn.Module):
    """Four times as wide inside, with a squared relu."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.c_proj(F.relu(self.c_fc(x)).square())
        return out
