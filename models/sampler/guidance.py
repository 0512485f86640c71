"""Guidance by two conditions: how far to go from nothing to appearance, and from there to motion.

v = u + g_appearance (a - u) + g_motion (f - a), where u knows neither condition, a the appearance and f both.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import torch
from torch import Tensor

from troupe.sampler_settings import SamplerSettings

__all__ = ["Branch", "branches", "guide", "strengths"]


class Branch(Enum):
    """What one evaluation of the denoiser is told."""

    NOTHING = "nothing"
    APPEARANCE = "appearance"
    FULL = "full"


def strengths(settings: SamplerSettings) -> list[tuple[float, float]]:
    """(appearance, motion) guidance of every step, each linear from its first to its last value."""

    def line(ends: tuple[float, float]) -> list[float]:
        values: list[float] = torch.linspace(*ends, settings.steps, dtype=torch.float64).tolist()
        return values

    return list(zip(line(settings.appearance_guidance), line(settings.motion_guidance), strict=True))


def branches(appearance: float, motion: float) -> dict[Branch, float]:
    """The evaluations that a step needs, with the factor of each in the guided prediction.

    Equal strengths do without the middle one; strengths of 1 are no guidance at all, and leave the full one alone.
    """
    every = {Branch.NOTHING: 1 - appearance, Branch.APPEARANCE: appearance - motion, Branch.FULL: motion}
    return {branch: factor for branch, factor in every.items() if factor}


def guide(predict: Callable[[Branch], Tensor], appearance: float, motion: float) -> Tensor:
    """The guided prediction.

    Args:
        predict: the network's v, float32, with what a branch is told; called once for each of `branches`.
        appearance, motion: the strengths.
    """
    first, *others = (factor * predict(branch) for branch, factor in branches(appearance, motion).items())
    return sum(others, first)
