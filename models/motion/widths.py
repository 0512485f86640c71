"""Layer widths of a ResNet, derived from the shapes of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from torch import Tensor

__all__ = ["RELEASED_WIDTHS", "Widths", "rows", "stage_widths"]

Widths: TypeAlias = tuple[int, int, int, int]
RELEASED_WIDTHS: Widths = (64, 128, 256, 512)


def rows(state: Mapping[str, Tensor], default: int, *names: str) -> int:
    """Length of the first axis of the first of `names` that exists.

    A file in which all of them are absent gets `default`, the release's: loading it then reports every
    absent tensor together.
    """
    return next((state[name].shape[0] for name in names if name in state and state[name].ndim > 0), default)


def stage_widths(state: Mapping[str, Tensor], prefix: str, norm: Literal["gn", "bn"]) -> Widths:
    """Inner width of each of the four stages, from either of a stage's first two tensors.

    Args:
        prefix: prefix of the tensors' names, including the dot.
        norm: name of the normalisation layers.
    """
    first, second, third, fourth = (
        rows(state, default, f"{prefix}layer{stage}.0.conv1.weight", f"{prefix}layer{stage}.0.{norm}1.weight")
        for stage, default in enumerate(RELEASED_WIDTHS, start=1)
    )
    return first, second, third, fourth
