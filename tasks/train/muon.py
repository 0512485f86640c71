"""Muon: an optimizer that orthogonalises the update of a matrix (Jordan et al., 2024, kellerjordan.github.io/
posts/muon; scaled as in Liu et al., arXiv 2502.16982, section 2.2, so that AdamW's learning rates fit).

`torch.optim.Muon` accepts only two-dimensional parameters, not the kernels of convolutions, and orthogonalises
one matrix at a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor

__all__ = ["Muon"]

MIN_SIDE = 16
"""Fewest rows and columns of a matrix that Muon updates; AdamW updates smaller parameters."""
MOMENTUM = 0.95
BETAS, EPS = (0.9, 0.99), 1e-8
NEWTON_SCHULZ_STEPS, QUINTIC = 5, (3.4445, -4.7750, 2.0315)
"""Number of Newton-Schulz iterations, and the coefficients of the quintic."""
ADAMW_RMS = 0.2
"""Root mean square of a typical AdamW update."""


class Muon(torch.optim.Optimizer):
    """Muon for matrices and the kernels of convolutions, AdamW for all other parameters.

    Args:
        params: parameters to optimise, or groups of them, as torch's optimizers take them.
        lr: learning rate of both.
        weight_decay: decoupled weight decay of both.
    """

    def __init__(
        self, params: Iterable[Tensor] | Iterable[dict[str, Any]], lr: float, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        del closure
        for group in self.param_groups:
            rate, decay = group["lr"], group["weight_decay"]
            matrices: dict[tuple[int, int], list[Tensor]] = {}
            for value in group["params"]:
                if value.grad is None:
                    continue
                value.mul_(1 - rate * decay)
                if value.ndim > 1 and min(shape := (len(value), value[0].numel())) >= MIN_SIDE:
                    matrices.setdefault(shape, []).append(value)
                else:
                    value.sub_(rate * self._adam(value))
            for shape, values in matrices.items():
                updates = _orthogonal(torch.stack([self._nesterov(value).reshape(shape) for value in values]))
                scale = rate * ADAMW_RMS * max(shape) ** 0.5
                for value, update in zip(values, updates, strict=True):
                    value.sub_(scale * update.view(value.shape))

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
    """Orthogonalise matrices (N, R, C) by Newton-Schulz iteration: singular values of about 1, in float32."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if tall else matrices).bfloat16()
    x = x / (x.float().norm(dim=(1, 2), keepdim=True) + 1e-7).bfloat16()
    a, b, c = QUINTIC
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).float()
