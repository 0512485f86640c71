"""Overlapping windows of frames that are denoised together."""

from __future__ import annotations

import torch
from torch import Tensor

from troupe.errors import SettingsError

__all__ = ["check_overlap", "frame_counts", "windows"]


def check_overlap(window: int, overlap: int) -> None:
    """Check that windows advance.

    Raises:
        SettingsError: the overlap is not smaller than the window.
    """
    if overlap >= window:
        raise SettingsError(f"windows of {window} frames cannot overlap by {overlap}; choose less than {window}")


def windows(frames: int, window: int, overlap: int, shift: int) -> Tensor:
    """Return overlapping windows over a clip, which wraps around at its end.

    Args:
        frames: number of frames in the clip, at least 1.
        window: number of frames per window.
        overlap: number of frames shared by neighbouring windows, fewer than `window`.
        shift: number of frames by which all windows are moved back.

    Returns:
        (N, window) frame indices. Every frame occurs; some occur twice in one window when `frames` < `window`.
    """
    starts = torch.arange(0, frames, window - overlap) - shift
    return (starts[:, None] + torch.arange(window)) % frames


def frame_counts(indices: Tensor, frames: int) -> Tensor:
    """Count how often each frame occurs in windows (N, W): (frames,) int64, at least 1."""
    flat = indices.flatten()
    # `bincount` would wait for the GPU to know the size of its result.
    return flat.new_zeros(frames).index_add_(0, flat, torch.ones_like(flat))
