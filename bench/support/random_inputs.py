"""Random portraits and motion, for benchmarks of networks whose speed does not depend on the picture."""

from __future__ import annotations

import numpy as np
import torch

from models.config import ModelConfig
from models.faces import Portrait
from models.motion import Motion
from troupe import Face

__all__ = ["random_motion", "random_portrait"]

ALIGNED_SIZE = 112
"""Pixels of the aligned face's sides."""
INTENSITY_LEVELS = 128


def random_portrait(config: ModelConfig) -> Portrait:
    """Return a portrait of noise at the model's size, ready to be encoded."""
    noise, side = np.random.default_rng(0), config.image_size
    picture = noise.integers(0, 256, (side, side, 3), np.uint8)
    box = np.array([0, 0, side, side], np.float32)
    keypoints = noise.uniform(0, side, (5, 2)).astype(np.float32)
    return Portrait(
        picture=picture,
        face=Face(box, keypoints, 1.0),
        box=(0, 0, side, side),
        crop=picture,
        aligned=noise.random((ALIGNED_SIZE, ALIGNED_SIZE, 3), np.float32),
    )


def random_motion(frames: int, config: ModelConfig) -> Motion:
    """Return random motion of `frames` frames."""
    noise = torch.Generator().manual_seed(0)
    return Motion(
        expression=torch.randn(frames, config.refiner.expression, generator=noise),
        rotation=30 * torch.randn(frames, 3, generator=noise),
        intensity=torch.randint(INTENSITY_LEVELS, (-(-frames // config.window), 2), generator=noise),
    )
