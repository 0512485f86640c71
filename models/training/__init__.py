"""How the parts of a weights directory are learned: examples and losses. The loop is `tasks.train`'s."""

from models.training.objective import Batch, Objective

__all__ = ["Batch", "Objective"]
