"""Spatio-temporal transformer of the denoiser: a block inside each frame, one along time, and their blend.

Activations are tokens (B, F, P, C): windows, frames, pixels, channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from torch import Tensor, nn

from models.denoiser.attention import CrossAttention, SelfAttention
from models.denoiser.conditioning import KeysValues, LayerContext
from models.denoiser.norm import GroupNorm

__all__ = ["Mixer", "SpatialBlock", "TemporalBlock", "Transformer"]


class FeedForward(nn.Module):
    """Widen four times, gate by a GELU, and back (Shazeer 2020)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.ModuleList([_Gated(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width)])

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> the same shape."""
        out: Tensor = self.net[2](self.net[0](x))
        return out


class _Gated(nn.Module):
    def __init__(self, width: int, wide: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * wide)

    def forward(self, x: Tensor) -> Tensor:
        # The largest activations of the network: halves made one after the other take half the memory at the peak.
        (value, gate), (value_bias, gate_bias) = self.proj.weight.chunk(2), self.proj.bias.chunk(2)
        gated = F.gelu(F.linear(x, gate, gate_bias))
        return F.linear(x, value, value_bias).mul_(gated)


class SpatialBlock(nn.Module):
    """Pixels of a frame attend to each other and to the frame's contexts."""

    def __init__(self, width: int, heads: int, context_width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = SelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.attn2 = CrossAttention(width, heads, context_width)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width)

    def forward(self, x: Tensor, contexts: Sequence[KeysValues]) -> Tensor:
        """(B, F, P, C) -> the same; a context has one group, or one per frame."""
        x = x + self.attn1(self.norm1(x))
        x = x + (self.attn2(self.norm2(x), contexts) if contexts else self.attn2.unconditional())
        out: Tensor = x + self.ff(self.norm3(x))
        return out


class TemporalBlock(nn.Module):
    """Each pixel attends to itself in the window's other frames, and to the window's contexts."""

    def __init__(self, width: int, heads: int, context_width: int) -> None:
        super().__init__()
        self.norm_in = nn.LayerNorm(width)
        self.ff_in = FeedForward(width)
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = SelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.attn2 = CrossAttention(width, heads, context_width)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width)

    def forward(self, x: Tensor, contexts: Sequence[KeysValues]) -> Tensor:
        """(B, F, P, C) -> the same; a context has one group, or one per window: it is the same for every pixel."""
        x = x + self.ff_in(self.norm_in(x))
        x = x + self.attn1(self.norm1(x), along=-3)
        x = x + (self.attn2(self.norm2(x), contexts) if contexts else self.attn2.unconditional())
        out: Tensor = x + self.ff(self.norm3(x))
        return out


class Transformer(nn.Module):
    """One block in space, one in time, blended by a learned factor, around a residual.

    Args:
        width: channels.
        heads: number of attention heads.
        context_width: width of appearance and motion tokens.
    """

    def __init__(self, width: int, heads: int, context_width: int) -> None:
        super().__init__()
        self.width = width
        self.norm = GroupNorm(width, eps=1e-6)
        self.proj_in = nn.Linear(width, width)
        self.transformer_blocks = nn.ModuleList([SpatialBlock(width, heads, context_width)])
        self.temporal_transformer_blocks = nn.ModuleList([TemporalBlock(width, heads, context_width)])
        self.time_proj = Timesteps(width, True, 0)
        self.time_pos_embed = TimestepEmbedding(width, 4 * width, out_dim=width)
        self.time_mixer = Mixer()
        self.proj_out = nn.Linear(width, width)

    @property
    def spatial(self) -> SpatialBlock:
        """The block inside a frame."""
        return cast("SpatialBlock", self.transformer_blocks[0])

    @property
    def temporal(self) -> TemporalBlock:
        """The block along time."""
        return cast("TemporalBlock", self.temporal_transformer_blocks[0])

    def project_appearance(self, frames: Tensor, windows: Tensor) -> LayerContext:
        """Project appearance tokens (N, A, D) of frames and of windows to this layer's keys and values."""
        return LayerContext(self.spatial.attn2.appearance(frames), self.temporal.attn2.appearance(windows))

    def project_motion(self, frames: Tensor, windows: Tensor) -> LayerContext:
        """Project motion tokens (N, M, D) of frames and of windows to this layer's keys and values."""
        return LayerContext(self.spatial.attn2.motion(frames), self.temporal.attn2.motion(windows))

    def forward(self, x: Tensor, frames: int, contexts: Sequence[LayerContext]) -> Tensor:
        """Refine a feature map.

        Args:
            x: (B * F, C, h, w), channels last in memory.
            frames: F.
            contexts: contexts of the conditions; all-zero ones add nothing and are left out.

        Returns:
            The same shape and memory order.
        """
        tokens = self._spatial_tokens(x, frames, contexts)
        position = self.time_proj(torch.arange(frames, device=x.device)).to(tokens.dtype)
        moved = tokens + self.time_pos_embed(position)[:, None]
        moved = self.temporal(moved, [context.temporal for context in contexts])
        return self._residual(x, self.time_mixer(tokens, moved))

    def pictures(self, x: Tensor, frames: int, contexts: Sequence[LayerContext]) -> Tensor:
        """As `forward`, with the spatial block alone, for images that do not belong to a video."""
        return self._residual(x, self._spatial_tokens(x, frames, contexts))

    def _spatial_tokens(self, x: Tensor, frames: int, contexts: Sequence[LayerContext]) -> Tensor:
        """Return tokens (B, F, P, C) of (B * F, C, h, w) after the spatial block."""
        tokens = self.proj_in(self.norm(x).permute(0, 2, 3, 1).flatten(1, 2))
        tokens = tokens.view(-1, frames, *tokens.shape[1:])
        refined: Tensor = self.spatial(tokens, [context.spatial for context in contexts])
        return refined

    def _residual(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Add tokens (B, F, P, C) to (B * F, C, h, w)."""
        _, channels, height, width = x.shape
        out: Tensor = self.proj_out(tokens)
        return x + out.view(-1, height, width, channels).permute(0, 3, 1, 2)


class Mixer(nn.Module):
    """Learned blend of a spatial and a temporal branch."""

    def __init__(self) -> None:
        super().__init__()
        self.mix_factor = nn.Parameter(torch.tensor([0.5]))

    @property
    def temporal_share(self) -> Tensor:
        """Weight (1,) of the temporal branch; the spatial one has the rest."""
        return torch.sigmoid(-self.mix_factor)

    def forward(self, spatial: Tensor, temporal: Tensor) -> Tensor:
        """Blend two tensors of the same shape."""
        return torch.lerp(spatial, temporal, self.temporal_share.to(spatial.dtype))
