"""Attention gives the same results on all code paths."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from models.attention import attend


@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_is_close_and_has_gradients(autocast: bool) -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(3, 2, length, 8, dtype=torch.bfloat16) for length in (5, 7, 7))
    wanted = F.scaled_dot_product_attention(q.float(), k.float(), v.float())
    leaves = [x.clone().requires_grad_() for x in (q, k, v)]
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = attend(*leaves)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, atol=2e-2, rtol=2e-2)
    found.float().square().sum().backward()
    assert all(leaf.grad is not None and leaf.grad.abs().sum() > 0 for leaf in leaves)


def test_full_precision_equals_torch() -> None:
    q, k, v = (torch.randn(3, 2, 5, 8) for _ in range(3))
    assert torch.equal(attend(q, k, v), F.scaled_dot_product_attention(q, k, v))
