"""bench.support.flops."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.support.flops import FrameCost, Operations, count_clip_cost, count_frame_cost
from bench.support.random_weights import FULL
from models.config import ModelConfig
from models.sampler.guidance import Branch
from troupe import SamplerSettings

ONE = Operations(1, 0)
HALF = Operations(0.5, 0)
COSTS = FrameCost(dict.fromkeys(Branch, ONE), dict.fromkeys(Branch, HALF), motion=Operations(0, 0), decode=ONE)


@pytest.mark.parametrize(("frames", "per_frame"), [(1500, 58.3), (250, 65), (100, 75), (25, 150)])
def test_evaluations_of_the_released_settings(frames: int, per_frame: float) -> None:
    work = count_clip_cost(frames, ModelConfig(), SamplerSettings(), COSTS)
    assert work.evaluations / frames == pytest.approx(per_frame, abs=0.05)
    assert work.denoise.products == work.evaluations
    assert work.least_evaluations == 50 * frames
    assert work.evaluations == 50 * work.step_frames


def test_a_third_branch_where_guidance_is_unequal() -> None:
    two = count_clip_cost(30, ModelConfig(), SamplerSettings(), COSTS)
    three = count_clip_cost(30, ModelConfig(), SamplerSettings(appearance_guidance=(1.5, 1.5)), COSTS)
    some = count_clip_cost(30, ModelConfig(), SamplerSettings(appearance_guidance=(1.5, 2)), COSTS)
    assert three.evaluations == 1.5 * two.evaluations
    assert some.evaluations == three.evaluations - two.step_frames  # equal in the last step


@given(frames=st.integers(1, 60), padding=st.integers(0, 20), chunk=st.integers(1, 12))
def test_only_chunks_with_a_wanted_frame_are_decoded(frames: int, padding: int, chunk: int) -> None:
    work = count_clip_cost(frames, ModelConfig(), SamplerSettings(padding=padding, decode_chunk=chunk), COSTS)
    wanted = range(padding, padding + frames)
    needed = [number for number in range(frames + 2 * padding) if any(n // chunk == number // chunk for n in wanted)]
    assert work.decode.products == len(needed)
    assert work.decode.products < frames + 2 * chunk


def test_limit_at_full_size() -> None:
    """The figures in which the project's targets are stated."""
    costs = count_frame_cost(FULL.config, SamplerSettings().decode_chunk)
    work = count_clip_cost(100, FULL.config, SamplerSettings(), costs)
    assert work.least / 100 == pytest.approx(60.5e12, rel=1e-3)
    assert costs.guided <= 1.13e12
    assert costs.decode.products <= 3.02e12
    assert costs.branches[Branch.UNCOND].attention < costs.branches[Branch.FULL].attention
    assert 0.2 < costs.outer[Branch.FULL].products / costs.branches[Branch.FULL].products < 0.6


def test_savings_are_counted() -> None:
    every = count_clip_cost(30, ModelConfig(), SamplerSettings(steps=6), COSTS)
    guidance = count_clip_cost(30, ModelConfig(), SamplerSettings(steps=6, guidance_every=3), COSTS)
    inner = count_clip_cost(30, ModelConfig(), SamplerSettings(steps=6, deep_every=3), COSTS)
    assert guidance.evaluations * 12 == every.evaluations * 8
    assert inner.evaluations == every.evaluations
    assert inner.denoise.products * 12 == every.denoise.products * (4 + 8 / 2)
