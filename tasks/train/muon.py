"""Muon: an optimizer that moves every direction of a matrix equally far (Jordan et al., 2024, kellerjordan.github.io/
posts/muon; scaled as in Liu et al., arXiv 2502.16982, section 2.2, so that AdamW's learning rates fit).

torch's own refuses the kernels of convolutions, and takes one matrix at a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor

__all__ = ["Muon"]

NARROWEST = 16
"""Rows and columns that a matrix has at least; what is smaller, AdamW moves."""
MOMENTUM = 0.95
BETAS, EPS = (0.9, 0.99), 1e-8
ROUNDS, QUINTIC = 5, (3.4445, -4.7750, 2.0315)
"""Rounds of the Newton-Schulz iteration, and its coefficients."""
LIKE_ADAMW = 0.2
"""Root mean square of AdamW's usual update."""


class Muon(torch.optim.Optimizer):
    """Muon for matrices, the kernels of convolutions among them, and AdamW for all else.

    Args:
        params: what learns.
        lr: learning rate, of both.
        weight_decay: decoupled, of both.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, weight_decay: float = 0.0) -> None:
        super().__init__(list(params), {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of whatever has a gradient."""
        del closure
        for group in self.param_groups:
            rate, decay = group["lr"], group["weight_decay"]
            matrices: dict[tuple[int, int], list[Tensor]] = {}
            for value in group["params"]:
                if value.grad is None:
                    continue
                value.mul_(1 - rate * decay)
                if value.ndim > 1 and min(shape := (len(value), value[0].numel())) >= NARROWEST:
                    matrices.setdefault(shape, []).append(value)
                else:
                    value.sub_(rate * self._adam(value))
            for shape, values in matrices.items():
                ways = _orthogonal(torch.stack([self._nesterov(value).reshape(shape) for value in values]))
                reach = rate * LIKE_ADAMW * max(shape) ** 0.5
                for value, way in zip(values, ways, strict=True):
                    value.sub_(reach * way.view(value.shape))

    def _nesterov(self, value: Tensor) -> Tensor:
        gradient = cast("Tensor", value.grad)
        state = self.state[value]
        if not state:
            state["momentum"] = torch.zeros_like(value)
        momentum: Tensor = state["momentum"]
        momentum.lerp_(gradient, 1 - MOMENTUM)
        return gradient.lerp(momentum, MOMENTUM)

    def _adam(self, value: Tensor) -> Tensor:
        gradient = cast("Tensor", value.grad)
        state = self.state[value]
        if not state:
            state |= {"steps": 0, "mean": torch.zeros_like(value), "square": torch.zeros_like(value)}
        state["steps"] += 1
        mean, square = state["mean"], state["square"]
        mean.lerp_(gradient, 1 - BETAS[0])
        square.lerp_(gradient.square(), 1 - BETAS[1])
        unbiased, wide = (1 - beta ** state["steps"] for beta in BETAS)
        update: Tensor = mean / unbiased / ((square / wide).sqrt() + EPS)
        return update


def _orthogonal(matrices: Tensor) -> Tensor:
    """The nearest matrices (N, R, C) whose singular values are about 1, in float32."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if tall else matrices).bfloat16()
    x = x / (x.float().norm(dim=(1, 2), keepdim=True) + 1e-7).bfloat16()
    a, b, c = QUINTIC
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).float()
