"""The interface between the training loop and what it trains."""

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
    """A network with its training examples and losses.

    An example depends on the generator passed in and on nothing else, and contains all randomness of its loss, such as
    noise and dropped conditions. So the result does not depend on how many processes make the examples or share a
    batch, and a stopped training resumes exactly.
    """

    @abstractmethod
    def network(self) -> nn.Module:
        """Build the network with its initial weights, drawn from torch's generator or read from a weights directory.

        Only the parameters that require a gradient are trained.

        Raises:
            WeightsError: the weights directory to start from is invalid.
        """

    @abstractmethod
    def example(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Make one example; names, shapes and types of the tensors are the same for every generator."""

    @abstractmethod
    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Compute scalars: `loss`, the mean over the batch that is minimised, and others to plot."""

    @abstractmethod
    def write(self, network: nn.Module, directory: Path) -> None:
        """Write the trained weights into a weights directory, in the format that `models.weights` reads."""

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Evaluate the network on held-out people and performances; empty if it is evaluated elsewhere.

        Called before `write`.
        """
        del network
        return {}
