"""Classifier-free guidance with two conditions, appearance and motion.

v = u + g_appearance (a - u) + g_motion (f - a), with u unconditional, a given the appearance and f given both.
"""

from __future__ import annotations

from enum import StrEnum

import torch

from troupe.sampler_settings import SamplerSettings

__all__ = ["Branch", "branches", "guidance_schedule"]


class Branch(StrEnum):
    """Conditioning of one evaluation of the denoiser."""

    UNCOND = "uncond"
    APPEARANCE = "appearance"
    FULL = "full"


def guidance_schedule(settings: SamplerSettings) -> list[tuple[float, float]]:
    """Return the (appearance, motion) guidance strength of each step, linear from the first to the last value."""

    def line(ends: tuple[float, float]) -> list[float]:
        values: list[float] = torch.linspace(*ends, settings.steps, dtype=torch.float64).tolist()
        return values

    return list(zip(line(settings.appearance_guidance), line(settings.motion_guidance), strict=True))


def branches(appearance: float, motion: float) -> dict[Branch, float]:
    """Return the evaluations that a step needs, and the factor of each in the guided prediction.

    Equal strengths need no `APPEARANCE`; strengths of 1 mean no guidance and need `FULL` only.
    """
    every = {Branch.UNCOND: 1 - appearance, Branch.APPEARANCE: appearance - motion, Branch.FULL: motion}
    return {branch: factor for branch, factor in every.items() if factor}
