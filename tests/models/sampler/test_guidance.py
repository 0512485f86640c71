"""Guidance: how strong, and which branches it takes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.sampler.guidance import Branch, branches, guidance_schedule, guided_prediction
from tests.models.networks import randn
from troupe.sampler_settings import PRESETS, SamplerSettings

PREDICTIONS = {branch: randn(3, seed=number) for number, branch in enumerate(Branch)}


def test_strengths_are_linear() -> None:
    settings = SamplerSettings(steps=5, appearance_guidance=(1.5, 2.5), motion_guidance=(3, 2))
    assert [a for a, _ in guidance_schedule(settings)] == pytest.approx([1.5, 1.75, 2, 2.25, 2.5])
    assert [m for _, m in guidance_schedule(settings)] == pytest.approx([3, 2.75, 2.5, 2.25, 2])
    assert guidance_schedule(SamplerSettings(steps=1, appearance_guidance=(1.5, 2.5), motion_guidance=(3, 2))) == [
        (1.5, 3)
    ]


def test_equal_strengths_are_equal_at_every_step() -> None:
    settings = SamplerSettings(steps=25, appearance_guidance=(1.1, 2.7), motion_guidance=(1.1, 2.7))
    assert all(len(branches(*strength)) == 2 for strength in guidance_schedule(settings))


def test_branches_are_decided_step_by_step() -> None:
    settings = SamplerSettings(steps=3, appearance_guidance=(1, 3), motion_guidance=(3, 1))
    assert [len(branches(*strength)) for strength in guidance_schedule(settings)] == [2, 2, 3]


def test_no_guidance_takes_one_branch() -> None:
    assert branches(1.0, 1.0) == {Branch.FULL: 1.0}
    assert all(len(branches(*strength)) == 1 for strength in guidance_schedule(PRESETS["sketch"]))


@pytest.mark.parametrize("strength", [(2.0, 2.0), (1.5, 3.0), (1.0, 1.0), (1.0, 2.0), (3.0, 0.0)])
def test_guided_prediction(strength: tuple[float, float]) -> None:
    asked = []

    def predict(branch: Branch) -> Tensor:
        asked.append(branch)
        return PREDICTIONS[branch]

    nothing, appearance, full = (PREDICTIONS[branch] for branch in Branch)
    expected = nothing + strength[0] * (appearance - nothing) + strength[1] * (full - appearance)
    torch.testing.assert_close(guided_prediction(predict, *strength), expected)
    assert asked == list(branches(*strength))
    assert (Branch.UNCOND in asked) == (strength[0] != 1)
    assert (Branch.APPEARANCE in asked) == (strength[0] != strength[1])
    assert (Branch.FULL in asked) == (strength[1] != 0)
