"""The pose guider's shapes; its values are in test_golden.py."""

from __future__ import annotations

import torch

from models.denoiser import PoseGuider
from tests.models.networks import randn


def test_the_output_is_an_eighth_of_the_picture() -> None:
    guider = PoseGuider(24).requires_grad_(False)
    assert guider(randn(2, 3, 64, 32)).shape == (2, 24, 8, 4)


def test_pictures_of_a_batch_are_independent() -> None:
    guider = PoseGuider(24).requires_grad_(False)
    pictures = randn(2, 3, 32, 32)
    torch.testing.assert_close(guider(pictures)[1:], guider(pictures[1:]))
