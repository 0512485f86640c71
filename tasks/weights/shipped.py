"""The model that comes with troupe, the default of requests."""

from __future__ import annotations

from filecmp import cmp
from pathlib import Path

from models.miniature import SHIPPED_WEIGHTS

__all__ = ["MINIATURE_NOTE", "MINIATURE_NOTICE", "SHIPPED_WEIGHTS", "is_miniature"]

MINIATURE_NOTICE = (
    "using the miniature, the small model that comes with troupe. It animates drawn faces only, at 128x128 pixels. Run "
    "`troupe weights pull DIR` to download the full model."
)
"""What calls and commands without weights say."""
MINIATURE_NOTE = "weights: the miniature that comes with troupe, which animates drawn faces only"
"""Note in the rows of what it renders."""

_DENOISER = "hyportrait/unet.pth"


def is_miniature(directory: Path) -> bool:
    """Return whether a weights directory has the denoiser of the miniature: it is that model, or a copy."""
    denoiser = directory / _DENOISER
    return denoiser.is_file() and cmp(denoiser, SHIPPED_WEIGHTS / _DENOISER, shallow=False)
