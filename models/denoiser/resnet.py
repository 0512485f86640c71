"""The convolutional parts of the denoiser.

Feature maps are (B * F, C, h, w) with channels last in memory: convolutions and transformers read them without a copy.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.denoiser.norm import GroupNorm
from models.denoiser.transformer import Mixer

__all__ = ["Downsample", "ResBlock", "Upsample"]


class SpatialResBlock(nn.Module):
    """Two 3x3 convolutions inside a frame, with the time embedding added between them."""

    def __init__(self, channels: int, out_channels: int, embedding: int, eps: float) -> None:
        super().__init__()
        self.norm1 = GroupNorm(channels, eps)
        self.conv1 = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.time_emb_proj = nn.Linear(embedding, out_channels)
        self.norm2 = GroupNorm(out_channels, eps)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(channels, out_channels, 1) if channels != out_channels else nn.Identity()

    def forward(self, x: Tensor, activated: Tensor, frames: int) -> Tensor:
        """(B * F, C, h, w), with the activated embedding (1 or B, E), -> (B * F, C', h, w)."""
        y = self.conv1(F.silu(self.norm1(x)))
        y = _add_to_frames(y, self.time_emb_proj(activated), frames)
        out: Tensor = self.conv_shortcut(x) + self.conv2(F.silu(self.norm2(y)))
        return out


class TemporalResBlock(nn.Module):
    """The same along time; returns the residual for its input, (B, C, F, P) channels last in memory."""

    def __init__(self, channels: int, embedding: int, eps: float) -> None:
        super().__init__()
        self.norm1 = GroupNorm(channels, eps)
        self.conv1 = nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0))
        self.time_emb_proj = nn.Linear(embedding, channels)
        self.norm2 = GroupNorm(channels, eps)
        self.conv2 = nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0))

    def forward(self, x: Tensor, activated: Tensor) -> Tensor:
        """(B, C, F, P), with the activated embedding (1 or B, E), -> the same shape."""
        y = _along_time(self.conv1, F.silu(self.norm1(x)))
        y = y + self.time_emb_proj(activated)[:, :, None, None]
        return _along_time(self.conv2, F.silu(self.norm2(y)))


class ResBlock(nn.Module):
    """A residual block in space and one in time, blended by a learned factor."""

    def __init__(self, channels: int, out_channels: int, embedding: int, eps: float) -> None:
        super().__init__()
        self.spatial_res_block = SpatialResBlock(channels, out_channels, embedding, eps)
        self.temporal_res_block = TemporalResBlock(out_channels, embedding, eps)
        self.time_mixer = Mixer()

    def forward(self, x: Tensor, activated: Tensor, frames: int) -> Tensor:
        """(B * F, C, h, w), with the activated embedding (1 or B, E), -> (B * F, C', h, w)."""
        x = self.spatial_res_block(x, activated, frames)
        n, channels, height, width = x.shape
        clip = x.permute(0, 2, 3, 1).reshape(-1, frames, height * width, channels).permute(0, 3, 1, 2)
        # The blend of s and s + t with share a for the second is s + a t.
        clip = torch.addcmul(
            clip, self.temporal_res_block(clip, activated), self.time_mixer.temporal_share.to(clip.dtype)
        )
        return clip.permute(0, 2, 3, 1).reshape(n, height, width, channels).permute(0, 3, 1, 2)


class Downsample(nn.Module):
    """Halve height and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, ceil(h / 2), ceil(w / 2))."""
        out: Tensor = self.conv(x)
        return out


class Upsample(nn.Module):
    """Upsample to the height and width of an earlier feature map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        """(N, C, h, w) -> (N, C, *size)."""
        out: Tensor = self.conv(F.interpolate(x, size=size, mode="nearest"))
        return out


def _add_to_frames(x: Tensor, embedding: Tensor, frames: int) -> Tensor:
    """Add (1 or B, C) to every frame and pixel of (B * F, C, h, w)."""
    per_frame = embedding if len(embedding) == 1 else embedding.repeat_interleave(frames, 0)
    return x + per_frame[:, :, None, None]


def _along_time(conv: nn.Conv3d, x: Tensor) -> Tensor:
    """Apply a (3, 1, 1) convolution to (B, C, F, P): in two dimensions it needs no other memory order."""
    return F.conv2d(x, conv.weight.squeeze(-1), conv.bias, padding=(1, 0))
