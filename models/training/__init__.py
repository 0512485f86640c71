"""Training objectives: examples and losses of every trainable part. The training loop is in `tasks.train`."""

from models.training.objective import Batch, Objective

__all__ = ["Batch", "Objective"]
