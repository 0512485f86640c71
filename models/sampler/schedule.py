"""Noise schedule and sampler step: Euler's method on Karras sigmas, for a network that predicts v.

Written here because the schedulers of diffusers keep a step index between calls, while each step here is taken for
many windows one after the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from models.config import SchedulerConfig
from troupe.sampler_settings import RELEASED_STEPS

__all__ = ["Schedule", "distilled_numbers", "distilled_schedule", "euler_step", "karras_schedule", "scale_model_input"]

RHO = 7.0


@dataclass(frozen=True)
class Schedule:
    """Noise levels of a clip's sampling.

    Attributes:
        sigmas: (steps + 1,) float32, falling, the last 0.
        timesteps: (steps,) float32, the network's timestep input for each level.
    """

    sigmas: Tensor
    timesteps: Tensor


def karras_schedule(config: SchedulerConfig, steps: int) -> Schedule:
    """Return sigmas evenly spaced in sigma^(1/7) from the largest to the smallest, then 0 (Karras et al. 2022, eq. 5).

    Args:
        config: largest and smallest sigma.
        steps: number of sampler steps, at least 1.
    """
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    high, low = config.sigma_max ** (1 / RHO), config.sigma_min ** (1 / RHO)
    sigmas = (high + ramp * (low - high)) ** RHO
    return Schedule(torch.cat((sigmas, sigmas.new_zeros(1))).float(), (0.25 * sigmas.log()).float())


def distilled_numbers(steps: int) -> list[int]:
    """Return which steps of the released schedule a distilled denoiser starts its own at."""
    return [number * RELEASED_STEPS // steps for number in range(steps)]


def distilled_schedule(config: SchedulerConfig, steps: int) -> Schedule:
    """Return noise levels of a distilled denoiser, evenly spaced among those of the released schedule, then 0.

    The last of a few Karras sigmas would be the smallest, where nearly nothing is left to denoise.
    """
    released, numbers = karras_schedule(config, RELEASED_STEPS), distilled_numbers(steps)
    return Schedule(torch.cat((released.sigmas[numbers], torch.zeros(1))), released.timesteps[numbers])


def scale_model_input(latents: Tensor, sigma: float) -> Tensor:
    """Scale noisy latents to the unit variance that the network expects."""
    return latents / math.sqrt(sigma**2 + 1)


def euler_step(latents: Tensor, v: Tensor, sigma: float, next_sigma: float) -> Tensor:
    """Step latents from one noise level to the next.

    Args:
        latents, v: tensors of the same shape; v is the network's prediction for these latents (Salimans and Ho 2022).
        sigma: current noise level, greater than 0.
        next_sigma: next noise level, less than `sigma`.
    """
    clean = latents / (sigma**2 + 1) - v * (sigma / math.sqrt(sigma**2 + 1))
    return clean + (latents - clean) * (next_sigma / sigma)
