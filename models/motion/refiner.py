"""Intensity-aware motion refiner (HunyuanPortrait, arXiv 2503.18860, section 3.2).

A frame's expression feature and the motion intensity of its chunk query a learned memory bank for the motion tokens
that the denoiser attends to.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.config import RefinerConfig
from models.motion.intensity import LEVELS
from models.motion.memory_bank import MemoryBank
from troupe.errors import WeightsError

__all__ = ["MotionRefiner", "motion_tokens"]

POSE_WIDTH = 6
"""Length of the pose at the end of a motion token: three angles, and three zeros in place of the translation."""


class MotionRefiner(nn.Module):
    """From expression features and intensities to motion tokens, without the pose at their end.

    Args:
        config: sizes.
        token_width: width of a whole motion token, pose included: the denoiser's context width.

    Raises:
        WeightsError: the sizes are inconsistent.

    Example:
        >>> refiner = MotionRefiner(RefinerConfig(), token_width=1024)
        >>> refiner(torch.randn(2, 512), torch.tensor([[17, 90], [17, 90]])).shape
        torch.Size([2, 64, 1018])
    """

    def __init__(self, config: RefinerConfig, token_width: int) -> None:
        super().__init__()
        if config.heads < 1 or config.width < 1 or config.width % config.heads:
            raise WeightsError(f"refiner: width {config.width} does not divide into {config.heads} heads")
        if config.levels < LEVELS:
            raise WeightsError(f"refiner: {config.levels} levels, but an intensity takes {LEVELS} values")
        if token_width <= POSE_WIDTH:
            raise WeightsError(
                f"motion tokens of width {token_width} leave no room beside the {POSE_WIDTH} numbers of the pose"
            )
        self.position_head = nn.Embedding(config.levels, config.width)
        self.position_exp = nn.Embedding(config.levels, config.width)
        self.connector = MemoryBank(config, token_width - POSE_WIDTH)

    def forward(self, features: Tensor, intensity: Tensor) -> Tensor:
        """Refine each frame on its own.

        Args:
            features: (F, expression) from the expression encoder, in the weights' dtype.
            intensity: (F, 2) integers, head and expression, of each frame's chunk.

        Returns:
            (F, latents, token_width - 6).
        """
        head, expression = intensity.unbind(dim=1)
        refined: Tensor = self.connector(features, self.position_head(head) + self.position_exp(expression))
        return refined


def motion_tokens(refined: Tensor, rotation: Tensor) -> Tensor:
    """Append the head's rotation to every refined token of a frame; the denoiser attends to the result.

    Args:
        refined: (F, L, W) from `MotionRefiner`.
        rotation: (F, 3), degrees, not scaled.

    Returns:
        (F, L, W + 6) in the dtype of `refined`; the last three numbers of a token are zero.
    """
    pose = F.pad(rotation.to(refined.dtype), (0, POSE_WIDTH - rotation.shape[1]))
    return torch.cat([refined, pose[:, None].expand(-1, refined.shape[1], -1)], dim=-1)
