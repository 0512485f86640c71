"""What a sampler step leaves to the following ones, by frame: windows move from step to step."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from models.sampler.guidance import Branch
from troupe.sampler_settings import SamplerSettings

__all__ = ["Saved"]


@dataclass
class FrameMeans:
    """Means of values over the windows of each frame.

    Attributes:
        sums: (F, ...) sums of the step under way.
        means: (F, ...) of the last finished step that had values.
    """

    sums: Tensor | None = None
    means: Tensor | None = None

    def add(self, indices: Tensor, values: Tensor, frames: int) -> None:
        """Add the values of windows (B, W) of a clip of `frames` frames, (B * W, ...)."""
        if self.sums is None:
            self.sums = values.new_zeros(frames, *values.shape[1:])
        self.sums.index_add_(0, indices.flatten(), values)

    def close(self, counts: Tensor) -> None:
        """Finish the step; `counts` says how often each frame occurred, (F, 1, 1, 1)."""
        if self.sums is not None:
            self.means, self.sums = self.sums.div_(counts), None

    def of(self, indices: Tensor) -> Tensor:
        """Return the means of windows (B, W) as (B * W, ...)."""
        assert self.means is not None, "the plan of the steps evaluates before it reuses"
        return self.means[indices.flatten()]


@dataclass
class Saved:
    """Results that later steps reuse; empty where the settings reuse none.

    Attributes:
        settings: settings of the sampler.
    """

    settings: SamplerSettings
    _inner: dict[Branch, FrameMeans] = field(default_factory=dict)
    _differences: dict[Branch, FrameMeans] = field(default_factory=dict)

    @property
    def reuses_guidance(self) -> bool:
        """Whether later steps reuse differences between branches."""
        return self.settings.guidance_every > 1

    def keep_inner(self, branch: Branch, indices: Tensor, frames: int, inner: Tensor) -> None:
        """Keep the inner stages' output, (B * W, C, h, w)."""
        if self.settings.deep_every > 1:
            self._inner.setdefault(branch, FrameMeans()).add(indices, inner, frames)

    def inner(self, branch: Branch, indices: Tensor) -> Tensor:
        """Return the inner stages' last output for windows (B, W), (B * W, C, h, w)."""
        return self._inner[branch].of(indices)

    def keep_difference(self, branch: Branch, indices: Tensor, frames: int, difference: Tensor) -> None:
        """Keep by what a branch's prediction differs from the one with all conditions, (B, W, 4, h, w)."""
        self._differences.setdefault(branch, FrameMeans()).add(indices, difference.flatten(0, 1), frames)

    def difference(self, branch: Branch, indices: Tensor) -> Tensor:
        """Return that difference of the last step that evaluated the branch, (B, W, 4, h, w)."""
        return torch.unflatten(self._differences[branch].of(indices), 0, indices.shape)

    def close(self, counts: Tensor) -> None:
        """Finish a step; `counts` says how often each frame occurred, (F, 1, 1, 1)."""
        for means in (*self._inner.values(), *self._differences.values()):
            means.close(counts)
