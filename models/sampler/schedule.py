"""Noise levels and the step from one to the next: Euler's method on Karras' sigmas, for a network that predicts v."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from models.config import SchedulerConfig

__all__ = ["Schedule", "karras", "network_input", "step"]

RHO = 7.0


@dataclass(frozen=True)
class Schedule:
    """The noise levels of a run.

    Attributes:
        sigmas: (steps + 1,) float32, falling, the last 0.
        timesteps: (steps,) float32, what the network is told of each level.
    """

    sigmas: Tensor
    timesteps: Tensor


def karras(config: SchedulerConfig, steps: int) -> Schedule:
    """Evenly spaced in sigma^(1/7) from the largest to the smallest, then 0 (Karras et al. 2022, equation 5).

    Args:
        config: the largest and the smallest sigma.
        steps: at least 1.
    """
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    high, low = config.sigma_max ** (1 / RHO), config.sigma_min ** (1 / RHO)
    sigmas = (high + ramp * (low - high)) ** RHO
    return Schedule(torch.cat((sigmas, sigmas.new_zeros(1))).float(), (0.25 * sigmas.log()).float())


def network_input(latents: Tensor, sigma: float) -> Tensor:
    """Noisy latents with the unit variance that the network expects."""
    return latents / math.sqrt(sigma**2 + 1)


def step(latents: Tensor, v: Tensor, sigma: float, following: float) -> Tensor:
    """Take latents from one noise level to the following one.

    Args:
        latents, v: of one shape; v as the network predicts it for these latents (Salimans and Ho 2022).
        sigma: more than 0.
        following: less than sigma.
    """
    clean = latents / (sigma**2 + 1) - v * (sigma / math.sqrt(sigma**2 + 1))
    return clean + (latents - clean) * (following / sigma)
