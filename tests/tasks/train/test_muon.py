"""Muon updates every direction of a matrix by the same amount, and other parameters like AdamW."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tasks.train.muon import ADAMW_RMS, Muon

RATE = 0.01


def moved(value: Tensor, gradient: Tensor, decay: float = 0.0) -> Tensor:
    """Return the change of a parameter by one step."""
    learned = value.clone().requires_grad_()
    learned.grad = gradient
    Muon([learned], RATE, decay).step()
    return learned.detach() - value


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(16, 80), columns=st.integers(16, 80), seed=st.integers(0, 99))
def test_every_direction_is_updated_equally(rows: int, columns: int, seed: int) -> None:
    gradient = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    # Directions with small singular values are updated as well; only those of zero are not.
    u, sizes, v = torch.linalg.svd(gradient, full_matrices=False)
    sizes = torch.linspace(1, 0.1, len(sizes))
    reach = torch.linalg.svdvals(moved(torch.zeros(rows, columns), u * sizes @ v)) / (
        RATE * ADAMW_RMS * max(rows, columns) ** 0.5
    )
    assert reach.min() > 0.5
    assert reach.max() < 1.4


def test_a_step_descends_and_has_the_size_of_adamws() -> None:
    gradient = torch.randn(64, 32, 3, 3, generator=torch.Generator().manual_seed(1))
    step = moved(torch.zeros_like(gradient), gradient)
    assert (step * gradient).sum() < 0
    # Newton-Schulz iteration gives singular values of about 0.85 on average.
    assert float(step.square().mean().sqrt()) == pytest.approx(RATE * ADAMW_RMS, rel=0.2)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_kernels_of_any_memory_layout_are_updated_alike(layout: torch.memory_format) -> None:
    drawn = torch.randn(32, 16, 3, 3, generator=torch.Generator().manual_seed(2))
    step = moved(torch.zeros_like(drawn), drawn.contiguous(memory_format=layout))
    torch.testing.assert_close(step, moved(torch.zeros_like(drawn), drawn), rtol=0.1, atol=RATE * 0.02)


def test_other_parameters_are_updated_as_by_adamw() -> None:
    drawn = torch.Generator().manual_seed(3)
    shapes: list[tuple[int, ...]] = [(40,), (), (8, 64), (3, 16, 3, 3)]
    ours = [torch.randn(shape, generator=drawn).requires_grad_() for shape in shapes]
    theirs = copy.deepcopy(ours)
    optimizer = Muon(ours, RATE, 0.1)
    adamw = torch.optim.AdamW(theirs, RATE, betas=(0.9, 0.99), weight_decay=0.1)
    for _ in range(5):
        for own, their in zip(ours, theirs, strict=True):
            own.grad = torch.randn(own.shape, generator=drawn)
            their.grad = own.grad.clone()
        optimizer.step()
        adamw.step()
    for own, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, their)


def test_parameters_without_gradient_do_not_change() -> None:
    value = torch.ones(20, 20, requires_grad=True)
    Muon([value], RATE, 0.5).step()
    assert torch.equal(value.detach(), torch.ones(20, 20))


def test_weight_decay() -> None:
    value = torch.ones(20, 20)
    torch.testing.assert_close(moved(value, torch.zeros(20, 20), 0.5), torch.full((20, 20), -0.5 * RATE))
