"""Which frames the denoiser sees together."""

from __future__ import annotations

import torch
from torch import Tensor

from troupe.errors import SettingsError

__all__ = ["check_overlap", "occurrences", "windows"]


def check_overlap(window: int, overlap: int) -> None:
    """Windows have to advance.

    Raises:
        SettingsError: they would not.
    """
    if overlap >= window:
        raise SettingsError(f"windows of {window} frames cannot overlap by {overlap}; choose less than {window}")


def windows(frames: int, window: int, overlap: int, shift: int) -> Tensor:
    """Overlapping windows over a clip, which is taken as a ring.

    Args:
        frames: of the clip, at least 1.
        window: frames of each.
        overlap: frames that neighbours share, fewer than `window`.
        shift: frames by which all windows are moved back.

    Returns:
        (N, window) frame indices. Every frame is there; some are twice in one window when `frames` < `window`.
    """
    starts = torch.arange(0, frames, window - overlap) - shift
    return (starts[:, None] + torch.arange(window)) % frames


def occurrences(indices: Tensor, frames: int) -> Tensor:
    """How often each of `frames` frames is in windows (N, W): (frames,) int64, at least 1."""
    return torch.bincount(indices.flatten(), minlength=frames)
