"""Structure of the transformer and the projector; the values are in test_golden.py."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models.appearance import AppearanceProjector, IdentityAdapter, VisionTransformer
from models.config import AppearanceConfig
from troupe.errors import WeightsError

SMALL = AppearanceConfig(
    width=24,
    depth=3,
    heads=3,
    registers=2,
    patch=7,
    input_size=42,
    position_grid=6,
    adapter_width=16,
    adapter_attention=8,
    adapter_heads=2,
    adapter_blocks=(0, 2),
    identity=10,
    tokens=5,
)


def build(config: AppearanceConfig = SMALL) -> VisionTransformer:
    torch.manual_seed(0)
    return VisionTransformer(config).requires_grad_(False).eval()


def inputs(size: int = SMALL.input_size) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(2, 3, size, size), torch.randn(2, SMALL.identity)


def test_the_projector_accepts_the_sequence() -> None:
    tokens = build()(*inputs())
    assert tokens.shape == (2, SMALL.sequence, SMALL.width)
    assert AppearanceProjector(SMALL)(tokens).shape == (2, SMALL.tokens, SMALL.width)


def test_the_identity_has_an_effect_only_in_blocks_with_adapters() -> None:
    transformer = build()
    assert [isinstance(block.adapter, IdentityAdapter) for block in transformer.blocks] == [True, False, True]
    image, identity = inputs()
    assert (transformer(image, identity) - transformer(image, -identity)).abs().max() > 1e-3
    plain = build(replace(SMALL, adapter_blocks=()))
    assert torch.equal(plain(image, identity), plain(image, -identity))


def test_pictures_of_a_batch_are_independent() -> None:
    transformer = build()
    image, identity = inputs()
    alone = [transformer(image[i : i + 1], identity[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(torch.cat(alone), transformer(image, identity))


def test_registers_follow_the_class_token_and_have_no_position() -> None:
    """Without blocks, every token is the norm of its input."""
    transformer = build(replace(SMALL, depth=0, adapter_blocks=()))
    image, identity = inputs()
    tokens = transformer(image, identity)
    positions = transformer.pos_embed
    expected = torch.cat([transformer.cls_token + positions[:, :1], transformer.register_tokens], dim=1)
    torch.testing.assert_close(tokens[:, :3], transformer.norm(expected).expand(2, -1, -1))
    corner = transformer.patch_embed(image[..., :7, :7])[..., 0, 0] + positions[:, 1]
    torch.testing.assert_close(tokens[:, 3], transformer.norm(corner))


def test_positions_are_resized_for_another_picture() -> None:
    transformer = build(replace(SMALL, depth=0, adapter_blocks=()))
    transformer.pos_embed[:, 1:] = 3.0
    image, identity = inputs(size=28)
    tokens = transformer(image, identity)
    assert tokens.shape == (2, 1 + 2 + 16, SMALL.width)
    # A constant table is the same at every size.
    patches = transformer.patch_embed(image).flatten(2).mT + 3.0
    torch.testing.assert_close(tokens[:, 3:], transformer.norm(patches))


def test_works_in_bfloat16() -> None:
    transformer = build(replace(SMALL, position_grid=9))
    image, identity = inputs()
    exact = transformer(image, identity)
    rough = transformer.to(torch.bfloat16)(image.to(torch.bfloat16), identity.to(torch.bfloat16))
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).norm() < 0.05 * exact.norm()


def test_the_projector_mixes_tokens_but_not_channels() -> None:
    projector = AppearanceProjector(SMALL)
    assert {name: tuple(value.shape) for name, value in projector.state_dict().items()} == {
        "weight": (SMALL.tokens, SMALL.sequence),
        "bias": (SMALL.tokens,),
    }
    tokens = torch.randn(2, SMALL.sequence, SMALL.width)
    expected = torch.einsum("ts,bsc->btc", projector.weight, tokens) + projector.bias[:, None]
    torch.testing.assert_close(projector(tokens), expected)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"heads": 5}, "heads"),
        ({"heads": 0}, "heads"),
        ({"patch": 0}, "patches"),
        ({"input_size": 50}, "input_size"),
        ({"input_size": 0}, "input_size"),
        ({"position_grid": 0}, "position_grid"),
        ({"adapter_blocks": (3,)}, "adapter_blocks"),
    ],
)
def test_incompatible_sizes_are_refused(wrong: dict[str, int], named: str) -> None:
    with pytest.raises(WeightsError, match=named):
        VisionTransformer(replace(SMALL, **wrong))
