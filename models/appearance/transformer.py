"""Vision transformer that encodes the portrait: DINOv2 with registers, and identity adapters in some blocks.

DINOv2: Oquab et al., arXiv 2304.07193; registers: Darcet et al., arXiv 2309.16588; adapters: HunyuanPortrait,
arXiv 2503.18860, section 3.3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.appearance.adapter import IdentityAdapter
from models.attention import attend
from models.config import AppearanceConfig
from troupe.errors import WeightsError

__all__ = ["VisionTransformer", "transformer_input"]

EPS = 1e-6
ADAPTER_STRENGTH = 0.2
GRID_OFFSET = 0.1
"""Added to the wanted grid before it is divided by the table's: the weights were trained with it."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


def transformer_input(crop: Tensor, side: int) -> Tensor:
    """Resize a head crop with antialiasing and normalise it by ImageNet's mean and deviation.

    Args:
        crop: (3, S, S) in [0, 1].
        side: side of the result, in pixels.

    Returns:
        (3, side, side).
    """
    resized = F.interpolate(crop[None], (side, side), mode="bilinear", antialias=True)[0]
    mean, deviation = (crop.new_tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    return (resized - mean) / deviation


class VisionTransformer(nn.Module):
    """Vision transformer from a picture and an identity vector to tokens.

    Args:
        config: sizes.

    Raises:
        WeightsError: the sizes are inconsistent.

    Example:
        >>> transformer = VisionTransformer(AppearanceConfig(width=64, depth=4, heads=4, adapter_width=32))
        >>> transformer(torch.randn(1, 3, 224, 224), torch.randn(1, 512)).shape
        torch.Size([1, 261, 64])
    """

    def __init__(self, config: AppearanceConfig) -> None:
        super().__init__()
        _check(config)
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, config.width))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, 1 + config.position_grid**2, config.width))
        self.register_tokens = nn.Parameter(0.02 * torch.randn(1, config.registers, config.width))
        # Stands for hidden patches in DINOv2's training; part of the weights, never used here.
        self.mask_token = nn.Parameter(torch.zeros(1, config.width))
        self.patch_embed = _PatchEmbedding(config.width, config.patch)
        self.blocks = nn.ModuleList(
            _Block(config, IdentityAdapter(config) if index in config.adapter_blocks else None)
            for index in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width, eps=EPS)

    def forward(self, images: Tensor, identity: Tensor) -> Tensor:
        """
        Args:
            images: (B, 3, s, s), normalised by ImageNet's mean and deviation, in the weights' dtype.
            identity: (B, identity), of unit norm, in the weights' dtype.

        Returns:
            (B, 1 + registers + (s / patch)^2, width), after the final norm: class, registers, patches row by row.
        """
        patches = self.patch_embed(images)
        batch, grid = len(patches), patches.shape[-1]
        x = torch.cat([self.cls_token.expand(batch, -1, -1), patches.flatten(2).mT], dim=1)
        x = x + self._positions(grid)
        x = torch.cat([x[:, :1], self.register_tokens.expand(batch, -1, -1), x[:, 1:]], dim=1)
        for block in self.blocks:
            x = block(x, identity)
        tokens: Tensor = self.norm(x)
        return tokens

    def _positions(self, grid: int) -> Tensor:
        """The table of learned positions, (1, 1 + grid^2, width), resized in float32 where the grid differs."""
        learned = round((self.pos_embed.shape[1] - 1) ** 0.5)
        if grid == learned:
            return self.pos_embed
        table = self.pos_embed[:, 1:].float().mT.reshape(1, -1, learned, learned)
        # Given as a factor, not as a size: torch then samples at steps of exactly its inverse.
        factor = (grid + GRID_OFFSET) / learned
        table = F.interpolate(table, scale_factor=(factor, factor), mode="bicubic", antialias=False)
        return torch.cat([self.pos_embed[:, :1], table.flatten(2).mT.to(self.pos_embed.dtype)], dim=1)


class _PatchEmbedding(nn.Module):
    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, stride=patch)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, s, s) to (B, width, grid, grid)."""
        patches: Tensor = self.proj(images)
        return patches


class _Block(nn.Module):
    """Self-attention and a feed-forward layer, each scaled per channel; an adapter, if any, beside the latter."""

    def __init__(self, config: AppearanceConfig, adapter: IdentityAdapter | None) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=EPS)
        self.attn = _Attention(config.width, config.heads)
        self.ls1 = _LayerScale(config.width)
        self.norm2 = nn.LayerNorm(config.width, eps=EPS)
        self.mlp = _FeedForward(config.width)
        self.ls2 = _LayerScale(config.width)
        self.adapter = adapter

    def forward(self, x: Tensor, identity: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        normed = self.norm2(x)
        update = self.mlp(normed)
        if self.adapter is not None:
            update = update + ADAPTER_STRENGTH * self.adapter(normed, identity)
        out: Tensor = x + self.ls2(update)
        return out


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        # (B, sequence, 3 width) to three of (B, heads, sequence, width / heads)
        batch, sequence, width = x.shape
        qkv = self.qkv(x).view(batch, sequence, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        attended = attend(query, key, value)
        out: Tensor = self.proj(attended.transpose(1, 2).flatten(2))
        return out


class _FeedForward(nn.Module):
    """Four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class _LayerScale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


def _check(config: AppearanceConfig) -> None:
    if config.heads < 1 or config.width < 1 or config.width % config.heads:
        raise WeightsError(f"appearance: width {config.width} does not divide into {config.heads} heads")
    if config.patch < 1 or config.input_size < config.patch or config.input_size % config.patch:
        raise WeightsError(f"appearance: input_size {config.input_size} does not divide into patches of {config.patch}")
    if any(index >= config.depth for index in config.adapter_blocks):
        raise WeightsError(f"appearance: adapter_blocks {config.adapter_blocks} go beyond the {config.depth} blocks")
    if config.position_grid < 1:
        raise WeightsError("appearance: position_grid must be at least 1")
