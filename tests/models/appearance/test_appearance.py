from __future__ import annotations

import pytest
import torch

from models.appearance import Appearance


@pytest.mark.parametrize(
    ("tokens", "latents"),
    [
        (torch.zeros(1, 6, 8), torch.zeros(4, 3, 5)),
        (torch.zeros(6, 8), torch.zeros(1, 4, 3, 5)),
        (torch.zeros(6, 8, dtype=torch.float64), torch.zeros(4, 3, 5)),
        (torch.zeros(6, 8), torch.zeros(4, 3, 5, dtype=torch.bfloat16)),
    ],
)
def test_invalid_tensors_are_refused(tokens: torch.Tensor, latents: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="an appearance is"):
        Appearance(tokens, latents)
