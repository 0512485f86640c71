"""Layout, independence and precision of the motion tokens; the values are in test_golden.py."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models.config import RefinerConfig
from models.motion import MotionRefiner, motion_tokens
from troupe.errors import WeightsError

SMALL = RefinerConfig(width=48, depth=2, heads=4, latents=5, expression=20)
TOKEN = 32


@pytest.fixture
def refiner() -> MotionRefiner:
    torch.manual_seed(0)
    return MotionRefiner(SMALL, TOKEN).requires_grad_(False).eval()


def test_shape(refiner: MotionRefiner) -> None:
    refined = refiner(torch.randn(3, 20), torch.tensor([[0, 0], [127, 127], [17, 90]]))
    assert refined.shape == (3, 5, TOKEN - 6)


def test_frames_of_a_batch_are_independent(refiner: MotionRefiner) -> None:
    features, levels = torch.randn(4, 20), torch.tensor([[0, 1], [2, 3], [2, 3], [127, 5]])
    alone = [refiner(features[i : i + 1], levels[i : i + 1]) for i in range(4)]
    torch.testing.assert_close(torch.cat(alone), refiner(features, levels))


def test_expression_and_both_intensities_have_an_effect(refiner: MotionRefiner) -> None:
    features, levels = torch.randn(1, 20), torch.tensor([[3, 4]])
    refined = refiner(features, levels)
    others = [
        refiner(torch.randn(1, 20), levels),
        refiner(features, torch.tensor([[9, 4]])),
        refiner(features, torch.tensor([[3, 9]])),
        refiner(features, torch.tensor([[4, 3]])),
    ]
    assert all((other - refined).abs().max() > 1e-3 for other in others)


def test_tokens_end_in_degrees_and_zeros() -> None:
    refined = torch.randn(2, 5, 26)
    rotation = torch.tensor([[-170.5, 3.25, 0.0], [12.0, -1.0, 99.5]])

    tokens = motion_tokens(refined, rotation)

    assert tokens.shape == (2, 5, 32)
    torch.testing.assert_close(tokens[..., :26], refined)
    for token in tokens.unbind(1):
        torch.testing.assert_close(token[:, 26:], torch.cat([rotation, torch.zeros(2, 3)], dim=1))


def test_works_in_bfloat16(refiner: MotionRefiner) -> None:
    features, levels, rotation = torch.randn(2, 20), torch.tensor([[3, 4], [5, 6]]), torch.randn(2, 3)
    exact = motion_tokens(refiner(features, levels), rotation)
    rough = motion_tokens(refiner.to(torch.bfloat16)(features.to(torch.bfloat16), levels), rotation)
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize(
    ("config", "token_width"),
    [
        (replace(SMALL, heads=5), TOKEN),
        (replace(SMALL, heads=0), TOKEN),
        (replace(SMALL, levels=100), TOKEN),
        (SMALL, 6),
    ],
)
def test_incompatible_sizes_are_refused(config: RefinerConfig, token_width: int) -> None:
    with pytest.raises(WeightsError):
        MotionRefiner(config, token_width)
