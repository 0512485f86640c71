"""Sizes of a model that is smaller still than the miniature, for tests that do not look at what comes out."""

from __future__ import annotations

from dataclasses import replace

from models.miniature.model import MINIATURE

__all__ = ["SMALL"]

SMALL = replace(
    MINIATURE,
    window=25,
    appearance=replace(MINIATURE.appearance, width=64, heads=4),
    refiner=replace(MINIATURE.refiner, width=64, depth=2),
    unet=replace(
        MINIATURE.unet,
        block_out_channels=(32, 32, 64),
        num_attention_heads=(1, 1, 2),
        cross_attention_dim=64,
        num_frames=25,
    ),
    vae=replace(MINIATURE.vae, block_out_channels=(32, 32, 64, 64)),
)
