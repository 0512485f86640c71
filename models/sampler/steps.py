"""What each sampler step evaluates: branches of the guidance, wholly or in the outer stages only, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.config import SchedulerConfig
from models.sampler.guidance import Branch, branches, guidance_schedule
from models.sampler.schedule import distilled_schedule, karras_schedule
from troupe.sampler_settings import SamplerSettings

__all__ = ["Step", "plan_steps"]


@dataclass(frozen=True)
class Step:
    """One sampler step.

    Attributes:
        sigma, next_sigma: noise level before and after.
        timestep: the network's input for this level.
        factors: factor of each branch in the guided prediction; they sum to 1.
        evaluated: the branches to evaluate, and whether with the denoiser's inner stages. What an absent branch differs
            from `FULL` by, and the inner stages where they are left out, are those of the last step that had them.
    """

    sigma: float
    next_sigma: float
    timestep: float
    factors: Mapping[Branch, float]
    evaluated: Mapping[Branch, bool]


def plan_steps(config: SchedulerConfig, settings: SamplerSettings) -> list[Step]:
    """Return the steps of a clip, the noisiest first."""
    schedule = (distilled_schedule if settings.distilled else karras_schedule)(config, settings.steps)
    sigmas, timesteps = schedule.sigmas.tolist(), schedule.timesteps.tolist()
    steps: list[Step] = []
    differed: dict[Branch, int] = {}
    deep: dict[Branch, int] = {}
    for number, strength in enumerate(guidance_schedule(settings, sigmas[:-1])):
        factors = branches(*strength)
        evaluated: dict[Branch, bool] = {}
        for branch in factors:
            if branch is not Branch.FULL and Branch.FULL in factors:
                if branch in differed and number - differed[branch] < settings.guidance_every:
                    continue
                differed[branch] = number
            evaluated[branch] = branch not in deep or number - deep[branch] >= settings.deep_every
            if evaluated[branch]:
                deep[branch] = number
        steps.append(Step(sigmas[number], sigmas[number + 1], timesteps[number], factors, evaluated))
    return steps
