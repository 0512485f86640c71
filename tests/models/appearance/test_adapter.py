from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.appearance import IdentityAdapter
from models.config import AppearanceConfig
from troupe.errors import WeightsError

SMALL = AppearanceConfig(
    width=24, registers=3, adapter_width=32, adapter_attention=16, adapter_heads=4, identity=10, input_size=70
)
PREFIX = 1 + SMALL.registers
GRID = 5
DEAD = ("branch1", "branch2", "branch3", "cross_attn.image_proj")


@pytest.fixture
def adapter() -> IdentityAdapter:
    torch.manual_seed(0)
    adapter = IdentityAdapter(SMALL).eval()
    nn.init.normal_(adapter.cross_attn.multihead_attn.in_proj_bias)
    return adapter


def inputs() -> tuple[Tensor, Tensor]:
    return torch.randn(2, PREFIX + GRID**2, SMALL.width), torch.randn(2, SMALL.identity)


def as_released(adapter: IdentityAdapter, tokens: Tensor, identity: Tensor) -> Tensor:
    """Compute everything that the release computes, including convolutions and softmax."""

    def conv_norm(part: nn.Module, x: Tensor) -> Tensor:
        return F.relu(part.get_submodule("bn")(part.get_submodule("conv")(x)))

    x = F.relu(adapter.D_fc1(tokens))
    picture = x[:, PREFIX:].mT.reshape(len(x), -1, GRID, GRID)
    branches = [
        conv_norm(adapter.branch1, picture),
        conv_norm(adapter.branch2[1], conv_norm(adapter.branch2[0], picture)),
        conv_norm(adapter.branch3[1], conv_norm(adapter.branch3[0], picture)),
    ]
    questions = adapter.cross_attn.image_proj(torch.cat(branches, dim=1).flatten(2).mT)
    answer = adapter.cross_attn.id_proj(identity)[:, None]
    attended = adapter.cross_attn.multihead_attn(questions, answer, answer)[0]
    attended = adapter.cross_attn.back_proj(attended)
    out: Tensor = adapter.D_fc2(torch.cat([x[:, :PREFIX], attended], dim=1) + x)
    return out


def test_the_result_equals_the_full_computation(adapter: IdentityAdapter) -> None:
    tokens, identity = inputs()
    torch.testing.assert_close(adapter(tokens, identity), as_released(adapter, tokens, identity))


def test_dead_branches_have_no_effect_and_no_gradient(adapter: IdentityAdapter) -> None:
    tokens, identity = inputs()
    before = adapter(tokens, identity)
    before.sum().backward()
    with_gradient = {name for name, value in adapter.named_parameters() if value.grad is not None}
    assert with_gradient == {name for name, _ in adapter.named_parameters() if not name.startswith(DEAD)}

    with torch.no_grad():
        for name, value in adapter.named_parameters():
            if name.startswith(DEAD):
                value.normal_()
    torch.testing.assert_close(adapter(tokens, identity), before)


def test_the_identity_affects_patches_only(adapter: IdentityAdapter) -> None:
    tokens, identity = inputs()
    change = adapter(tokens, identity + 1) - adapter(tokens, identity)
    assert change[:, :PREFIX].abs().max() == 0
    assert (change[:, PREFIX:].abs().amax(dim=-1) > 0).all()


@pytest.mark.parametrize(
    "wrong", [{"adapter_width": 40}, {"adapter_width": 0}, {"adapter_heads": 3}, {"adapter_heads": 0}]
)
def test_incompatible_sizes_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(WeightsError, match="adapter_"):
        IdentityAdapter(replace(SMALL, **wrong))
