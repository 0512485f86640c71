"""The denoiser's norm equals PyTorch's, with the precision of its more precise kernel."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from models.denoiser.norm import GroupNorm
from tests.models import golden
from tests.models.networks import randn


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (4, 4)])
def test_groups_are_normalised(size: tuple[int, int]) -> None:
    norm = GroupNorm(64, 1e-6).requires_grad_(False)
    norm.weight.copy_(randn(64, seed=1))
    norm.bias.copy_(randn(64, seed=2))
    x = randn(3, 64, *size).contiguous(memory_format=torch.channels_last)
    expected = F.group_norm(x.double(), 32, norm.weight.double(), norm.bias.double(), 1e-6).float()
    torch.testing.assert_close(norm(x), expected, rtol=1e-4, atol=1e-5)


def test_two_similar_values_keep_their_difference() -> None:
    """Maps of one pixel: the denoiser's innermost stage would amplify the error of a channels-last kernel."""
    norm = GroupNorm(64, 1e-6).requires_grad_(False)
    x = (3 + 0.01 * randn(50, 64)).view(50, 64, 1, 1).to(memory_format=torch.channels_last)
    expected = F.group_norm(x.double(), 32, eps=1e-6).float()
    golden.assert_close(norm(x), expected)
