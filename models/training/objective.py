"""What a training loop needs to know of the thing it trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
from torch import Tensor, nn

__all__ = ["Batch", "Objective"]

Batch: TypeAlias = Mapping[str, Tensor]
"""Examples, stacked along the first axis."""


class Objective(ABC):
    """One network, what it learns from, and how wrong it still is.

    An example follows from the generator that it is given and from nothing else, and holds all the chance that there
    is in its loss, noise and dropped conditions too. So what is learned does not depend on how many processes make the
    examples or share a batch, and a loop that was stopped goes on as if it had not been.
    """

    @abstractmethod
    def network(self) -> nn.Module:
        """With the values it starts from, drawn from torch's generator or read from a weights directory.

        Only its parameters that require a gradient are learned.

        Raises:
            WeightsError: it starts from a directory that is no good.
        """

    @abstractmethod
    def example(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """One example; the same tensors, in names, shapes and types, whatever the dice say."""

    @abstractmethod
    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Scalars: `loss`, the mean over the batch that is brought down, and whatever else is worth a curve."""

    @abstractmethod
    def write(self, network: nn.Module, directory: Path) -> None:
        """Put what was learned into a weights directory, in the form in which `models.weights` reads it."""

    def measure(self, network: nn.Module) -> dict[str, float]:
        """How good it is on people and performances that are kept for measuring; empty if that is asked elsewhere.

        Asked before `write`.
        """
        del network
        return {}
