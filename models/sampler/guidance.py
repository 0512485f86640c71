"""Classifier-free guidance with two conditions, appearance and motion.

v = u + g_appearance (a - u) + g_motion (f - a), with u unconditional, a given the appearance and f given both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

import torch

from troupe.sampler_settings import SamplerSettings

__all__ = ["Branch", "branches", "guidance_schedule"]


class Branch(StrEnum):
    """Conditioning of one evaluation of the denoiser."""

    UNCOND = "uncond"
    APPEARANCE = "appearance"
    FULL = "full"


def guidance_schedule(settings: SamplerSettings, sigmas: Sequence[float]) -> list[tuple[float, float]]:
    """Return the (appearance, motion) guidance strength of each step, linear from the first to the last value.

    Args:
        sigmas: noise level of each step; outside of the settings' interval the strengths are 1.
    """

    def line(ends: tuple[float, float]) -> list[float]:
        values: list[float] = torch.linspace(*ends, settings.steps, dtype=torch.float64).tolist()
        return values

    strengths = zip(line(settings.appearance_guidance), line(settings.motion_guidance), strict=True)
    low, high = settings.guidance_interval or (0.0, math.inf)
    return [strength if low <= sigma <= high else (1.0, 1.0) for strength, sigma in zip(strengths, sigmas, strict=True)]


def branches(appearance: float, motion: float) -> dict[Branch, float]:
    """Return the evaluations that a step needs, and the factor of each in the guided prediction.

    Equal strengths need no `APPEARANCE`; strengths of 1 mean no guidance and need `FULL` only.
    """
    every = {Branch.UNCOND: 1 - appearance, Branch.APPEARANCE: appearance - motion, Branch.FULL: motion}
    return {branch: factor for branch, factor in every.items() if factor}
