"""Scaled dot-product attention, as the denoiser and the vision transformer compute it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["attend"]


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax of scaled products of queries (N, heads, L, D) and keys (N, heads, S, D), times values like the keys.

    Returns:
        (N, heads, L, D).
    """
    if q.device.type != "cpu" or q.dtype != torch.bfloat16 or not torch.is_grad_enabled():
        return F.scaled_dot_product_attention(q, k, v)
    # Its backward pass in bfloat16 is five times as slow on CPUs as in float32 (torch 2.13).
    with torch.autocast("cpu", enabled=False):
        return F.scaled_dot_product_attention(q.float(), k.float(), v.float()).to(q.dtype)
