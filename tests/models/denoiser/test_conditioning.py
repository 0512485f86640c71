"""Contexts of a clip, whether kept in memory or projected again."""

from __future__ import annotations

import pytest
import torch

from models.denoiser import Context, Denoiser
from tests.models.networks import SMALL, randn, small_denoiser

TOKENS, FRAMES = 5, 6
WINDOWS = torch.tensor([[4, 5, 0, 1], [0, 0, 3, 3]])


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    return small_denoiser()


def assert_same(one: Context, other: Context) -> None:
    assert len(one.layers) == len(other.layers)
    for a, b in zip(one.layers, other.layers, strict=True):
        for first, second in ((a.spatial, b.spatial), (a.temporal, b.temporal)):
            torch.testing.assert_close(first.keys, second.keys)
            torch.testing.assert_close(first.values, second.values)


def test_every_transformer_has_a_context(denoiser: Denoiser) -> None:
    context = denoiser.project_appearance(randn(TOKENS, SMALL.cross_attention_dim))
    assert len(context.layers) == len(denoiser.transformers) == 16
    for layer, transformer in zip(context.layers, denoiser.transformers, strict=True):
        assert layer.spatial.keys.shape == layer.temporal.values.shape == (1, TOKENS, transformer.width)


def test_motion_beyond_the_budget_gives_the_same_context(denoiser: Denoiser) -> None:
    tokens = randn(FRAMES, TOKENS, SMALL.cross_attention_dim)
    kept, recomputed = denoiser.project_motion(tokens, budget=2**30), denoiser.project_motion(tokens, budget=0)
    assert kept.kept
    assert not recomputed.kept
    assert len(kept) == len(recomputed) == FRAMES
    assert_same(kept.of(WINDOWS), recomputed.of(WINDOWS))


def test_the_groups_of_a_window(denoiser: Denoiser) -> None:
    tokens = randn(FRAMES, TOKENS, SMALL.cross_attention_dim)
    layer = denoiser.project_motion(tokens, budget=0).of(WINDOWS).layers[0]
    transformer = denoiser.transformers[0]
    torch.testing.assert_close(layer.spatial.keys[2], transformer.spatial.attn2.motion(tokens[:1]).keys[0])
    mean = tokens[[0, 0, 3, 3]].mean(0, keepdim=True)
    torch.testing.assert_close(layer.temporal.values[1], transformer.temporal.attn2.motion(mean).values[0])


def test_the_budget_is_in_bytes(denoiser: Denoiser) -> None:
    tokens = randn(FRAMES, TOKENS, SMALL.cross_attention_dim)
    everything = Context(tuple(layer.project_motion(tokens, tokens) for layer in denoiser.transformers))
    assert denoiser.project_motion(tokens, budget=everything.bytes).kept
    assert not denoiser.project_motion(tokens, budget=everything.bytes - 1).kept


def test_contexts_have_the_denoisers_dtype() -> None:
    denoiser = small_denoiser().to(torch.bfloat16)
    tokens = randn(FRAMES, TOKENS, SMALL.cross_attention_dim)
    assert denoiser.project_appearance(tokens[0]).layers[0].spatial.keys.dtype == torch.bfloat16
    for budget in (0, 2**30):
        layer = denoiser.project_motion(tokens, budget).of(WINDOWS).layers[0]
        assert layer.temporal.keys.dtype == layer.spatial.values.dtype == torch.bfloat16
