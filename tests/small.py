"""Sizes of a model that is smaller still than the miniature, for tests that do not look at what comes out."""

from __future__ import annotations

from dataclasses import replace

from models.miniature.init_weights import MINIATURE_CONFIG

__all__ = ["QUICK", "SMALL"]

SMALL = replace(
    MINIATURE_CONFIG,
    window=25,
    appearance=replace(MINIATURE_CONFIG.appearance, width=64, heads=4),
    refiner=replace(MINIATURE_CONFIG.refiner, width=64, depth=2),
    unet=replace(
        MINIATURE_CONFIG.unet,
        block_out_channels=(32, 32, 64),
        num_attention_heads=(1, 1, 2),
        cross_attention_dim=64,
        num_frames=25,
    ),
    vae=replace(MINIATURE_CONFIG.vae, block_out_channels=(32, 32, 64, 64)),
)

QUICK = replace(SMALL, image_size=64, window=8)
"""For whole runs, which render with it."""
