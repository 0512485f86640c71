"""Attention layers against attention written out query by query."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.denoiser.attention import CrossAttention, SelfAttention
from models.denoiser.conditioning import KeysValues
from tests.models.networks import randn

WIDTH, HEADS, CONTEXT = 12, 3, 10


@pytest.fixture
def cross() -> CrossAttention:
    torch.manual_seed(0)
    return CrossAttention(WIDTH, HEADS, CONTEXT).requires_grad_(False)


def one_query(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Return the attention output (C,) of a query (C,) over keys (T, C) and values (T, C)."""
    size = WIDTH // HEADS
    heads = []
    for head in range(HEADS):
        part = slice(head * size, (head + 1) * size)
        share = torch.softmax(keys[:, part] @ query[part] / size**0.5, 0)
        heads.append(share @ values[:, part])
    return torch.cat(heads)


@pytest.mark.parametrize("along", [-2, -3])
@pytest.mark.parametrize("windows", [1, 2])
def test_self_attention_attends_along_one_dimension(along: int, windows: int) -> None:
    torch.manual_seed(0)
    attention = SelfAttention(WIDTH, HEADS).requires_grad_(False)
    x = randn(windows, 3, 5, WIDTH)
    out = attention(x, along)
    assert out.shape == x.shape
    for window, frame, pixel in ((0, 0, 0), (windows - 1, 2, 4), (0, 1, 3)):
        sequence = x[window, frame] if along == -2 else x[window, :, pixel]
        found = one_query(attention.to_q(x[window, frame, pixel]), attention.to_k(sequence), attention.to_v(sequence))
        torch.testing.assert_close(out[window, frame, pixel], attention.to_out[0](found))


@pytest.mark.parametrize(("groups", "motion_groups"), [(1, 1), (1, 6), (2, 2), (6, 2)])
def test_cross_attention_sums_two_contexts_before_the_projection(
    cross: CrossAttention, groups: int, motion_groups: int
) -> None:
    x = randn(2, 3, 4, WIDTH)  # 2 windows of 3 frames of 4 pixels
    appearance = cross.appearance(randn(groups, 5, CONTEXT, seed=1))
    motion = cross.motion(randn(motion_groups, 7, CONTEXT, seed=2))
    out = cross(x, (appearance, motion)).view(-1, WIDTH)
    flat = x.view(-1, WIDTH)
    for number, token in enumerate(flat):
        query = cross.to_q(token)
        found = torch.zeros(WIDTH)
        for context in (appearance, motion):
            group = number * len(context.keys) // len(flat)
            found += one_query(query, context.keys[group], context.values[group])
        torch.testing.assert_close(out[number], cross.to_out[0](found))


def test_the_two_contexts_have_separate_projections(cross: CrossAttention) -> None:
    tokens = randn(1, 5, CONTEXT)
    appearance, motion = cross.appearance(tokens), cross.motion(tokens)
    torch.testing.assert_close(appearance.keys, tokens @ cross.to_k.weight.T)
    torch.testing.assert_close(motion.values, tokens @ cross.processor.to_v_ip[0].weight.T)
    assert not torch.allclose(appearance.keys, motion.keys)


def test_attention_to_zeros_is_zero(cross: CrossAttention) -> None:
    x = randn(1, 2, 4, WIDTH)
    zeros = torch.zeros(1, 5, CONTEXT)
    out = cross(x, (cross.appearance(zeros), cross.motion(zeros)))
    assert torch.equal(out, cross.unconditional().expand_as(out))


def test_a_context_of_zeros_adds_nothing(cross: CrossAttention) -> None:
    x = randn(1, 2, 4, WIDTH)
    appearance = cross.appearance(randn(1, 5, CONTEXT, seed=1))
    zeros = cross.motion(torch.zeros(2, 5, CONTEXT))
    torch.testing.assert_close(cross(x, (appearance, zeros)), cross(x, (appearance,)), rtol=0, atol=0)


def test_the_mean_of_groups_is_the_projection_of_the_mean_token(cross: CrossAttention) -> None:
    tokens = randn(4, 5, CONTEXT)
    windows = torch.tensor([[0, 1, 1], [3, 2, 0]])
    mean = cross.motion(tokens).mean(windows)
    expected = cross.motion(tokens[windows].mean(1))
    torch.testing.assert_close(mean.keys, expected.keys)
    torch.testing.assert_close(mean.values, expected.values)


def test_groups_are_selected_in_order() -> None:
    layer = KeysValues(randn(4, 2, 3), randn(4, 2, 3, seed=1))
    taken = layer.take(torch.tensor([2, 2, 0]))
    assert torch.equal(taken.keys, layer.keys[[2, 2, 0]])
    assert torch.equal(taken.values, layer.values[[2, 2, 0]])
