"""Guidance: its strength, and the branches that are evaluated."""

from __future__ import annotations

import pytest

from models.sampler.guidance import Branch, branches, guidance_schedule
from troupe.sampler_settings import PRESETS, SamplerSettings


def test_strengths_are_interpolated_linearly() -> None:
    settings = SamplerSettings(steps=5, appearance_guidance=(1.5, 2.5), motion_guidance=(3, 2))
    strengths = guidance_schedule(settings, [1.0] * settings.steps)
    assert [a for a, _ in strengths] == pytest.approx([1.5, 1.75, 2, 2.25, 2.5])
    assert [m for _, m in strengths] == pytest.approx([3, 2.75, 2.5, 2.25, 2])
    assert guidance_schedule(
        SamplerSettings(steps=1, appearance_guidance=(1.5, 2.5), motion_guidance=(3, 2)), [1.0]
    ) == [(1.5, 3)]


def test_equal_strengths_are_equal_in_all_steps() -> None:
    settings = SamplerSettings(steps=25, appearance_guidance=(1.1, 2.7), motion_guidance=(1.1, 2.7))
    assert all(len(branches(*strength)) == 2 for strength in guidance_schedule(settings, [1.0] * settings.steps))


def test_branches_are_chosen_per_step() -> None:
    settings = SamplerSettings(steps=3, appearance_guidance=(1, 3), motion_guidance=(3, 1))
    assert [len(branches(*strength)) for strength in guidance_schedule(settings, [1.0] * settings.steps)] == [2, 2, 3]


def test_one_branch_without_guidance() -> None:
    assert branches(1.0, 1.0) == {Branch.FULL: 1.0}
    assert all(len(branches(*strength)) == 1 for strength in guidance_schedule(PRESETS["sketch"], [1.0] * 5))


def test_no_guidance_outside_of_the_interval() -> None:
    settings = SamplerSettings(steps=4, guidance_interval=(0.5, 10))
    assert guidance_schedule(settings, [700.0, 10.0, 0.5, 0.4]) == [(1, 1), (2, 2), (2, 2), (1, 1)]
