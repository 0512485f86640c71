"""Projector from the vision transformer's tokens to appearance tokens."""

from __future__ import annotations

from torch import Tensor, nn

from models.config import AppearanceConfig

__all__ = ["AppearanceProjector"]


class AppearanceProjector(nn.Linear):
    """Mixes the transformer's tokens, the same way in every channel, into the few that the denoiser attends to.

    Args:
        config: sizes.

    Example:
        >>> AppearanceProjector(AppearanceConfig())(torch.randn(1, 261, 1024)).shape
        torch.Size([1, 64, 1024])
    """

    def __init__(self, config: AppearanceConfig) -> None:
        super().__init__(config.sequence, config.tokens)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, sequence, width) to (B, tokens, width)."""
        return super().forward(tokens.mT).mT
