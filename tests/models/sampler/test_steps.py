"""The plan of the sampler's steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.config import SchedulerConfig
from models.sampler.guidance import Branch
from models.sampler.steps import Step, plan_steps
from troupe import PRESETS, SamplerSettings
from troupe.errors import SettingsError

SCHEDULE = SchedulerConfig()


def evaluated(**settings: object) -> list[str]:
    """Return each step's branches by first letter, in capitals where the inner stages are evaluated."""
    steps = plan_steps(SCHEDULE, SamplerSettings(**settings))  # type: ignore[arg-type]

    def letters(step: Step) -> str:
        return "".join(branch[0].upper() if deep else branch[0] for branch, deep in step.evaluated.items())

    return [letters(step) for step in steps]


def test_without_savings_every_step_evaluates_everything() -> None:
    assert evaluated(steps=3) == ["UF"] * 3
    assert evaluated(steps=3, motion_guidance=(1.0, 1.0)) == ["UAF"] * 3


def test_guidance_is_reused() -> None:
    assert evaluated(steps=5, guidance_every=2) == ["UF", "F", "UF", "F", "UF"]
    assert evaluated(steps=5, guidance_every=9) == ["UF", "F", "F", "F", "F"]


def test_a_distilled_denoiser_takes_few_of_the_released_levels() -> None:
    settings = PRESETS["fast"]
    released, own = plan_steps(SCHEDULE, SamplerSettings()), plan_steps(SCHEDULE, settings)
    assert [step.sigma for step in own] == [released[number].sigma for number in (0, 6, 12, 18)]
    assert [step.next_sigma for step in own] == [*(step.sigma for step in own[1:]), 0]
    assert {tuple(step.evaluated) for step in own} == {(Branch.FULL,)}
    with pytest.raises(SettingsError, match="at most 25 steps"):
        SamplerSettings(steps=26, distilled=True)


def test_inner_stages_are_reused() -> None:
    assert evaluated(steps=5, deep_every=2) == ["UF", "uf", "UF", "uf", "UF"]


def test_both_are_reused_each_in_its_own_time() -> None:
    assert evaluated(steps=7, guidance_every=2, deep_every=3) == ["UF", "f", "uf", "F", "Uf", "f", "uF"]


@given(
    st.integers(1, 12),
    st.integers(1, 5),
    st.integers(1, 5),
    st.sampled_from([None, (0.0, 1.0), (0.5, 50.0), (800.0, 900.0)]),
    st.sampled_from([(2.0, 2.0), (1.0, 3.0), (1.0, 1.0), (0.0, 0.0)]),
    st.sampled_from([(2.0, 2.0), (3.0, 1.0), (0.0, 2.0), (0.0, 0.0)]),
)
def test_nothing_is_reused_before_it_was_evaluated_or_for_longer(
    steps: int,
    guidance_every: int,
    deep_every: int,
    interval: tuple[float, float] | None,
    appearance: tuple[float, float],
    motion: tuple[float, float],
) -> None:
    settings = SamplerSettings(
        steps=steps,
        appearance_guidance=appearance,
        motion_guidance=motion,
        guidance_interval=interval,
        guidance_every=guidance_every,
        deep_every=deep_every,
    )
    differed: dict[Branch, int] = {}
    deep: dict[Branch, int] = {}
    for number, step in enumerate(plan_steps(SCHEDULE, settings)):
        assert abs(sum(step.factors.values()) - 1) < 1e-9
        assert set(step.evaluated) <= set(step.factors)
        for branch, with_inner in step.evaluated.items():
            if Branch.FULL in step.evaluated:
                differed[branch] = number
            if with_inner:
                deep[branch] = number
            assert number - deep[branch] < deep_every
        for branch in step.factors:
            if branch not in step.evaluated:
                assert Branch.FULL in step.evaluated
                assert number - differed[branch] < guidance_every
