"""The training objective of the expression encoder, on synthetic driving frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.config import ModelConfig
from models.picture import unit
from models.training.driving_frames import (
    DrivingFrame,
    centre_and_size,
    correlations,
    random_frame,
    smooth_l1,
    trainable_encoder,
)
from models.training.objective import Batch, Objective
from models.weights import replace_values

__all__ = ["EXPRESSION_TARGETS", "ExpressionObjective", "basis"]

EXPRESSION_TARGETS = {
    "left": (0.80, 0.25),
    "right": (0.80, 0.25),
    "gaze_x": (0.0, 0.45),
    "gaze_y": (0.0, 0.30),
    "brows": (0.06, 0.40),
    "mouth": (0.22, 0.22),
    "width": (0.0, 0.28),
    "smile": (0.40, 0.27),
    "x": (0.0, 0.15),
    "y": (0.0, 0.11),
    "size": (0.0, 0.06),
    "yaw": (0.0, 17.0),
    "pitch": (0.7, 7.0),
    "roll": (0.0, 6.0),
}
"""Targets that an expression feature encodes, with the mean and standard deviation of each in the synthetic world. x, y
and size are those of the face's box relative to the clip's first: offset of the centre in sides of the first box, and
binary logarithm of the ratio of the sizes. All others are attributes of `Moment`."""
EYES = ("left", "right")
GAZE = ("gaze_x", "gaze_y")
TARGET_WEIGHTS = {"gaze_y": 3.0, "width": 3.0, "smile": 1.5, "pitch": 1.5}
"""Loss weights above 1, of targets that show in less than a pixel or depend on all of the mouth."""
SEEN = 0.5
"""Openness of an eye from which its gaze has its full weight."""
REST_WEIGHT = 0.1
"""Loss weight of the rest of the feature, which would encode identity."""


class ExpressionObjective(Objective):
    """Regression of `EXPRESSION_TARGETS`, mapped to the expression encoder's feature by `basis`.

    Args:
        weights: weights directory to start from and to write to.
    """

    def __init__(self, weights: Path) -> None:
        self.weights, self.config = weights, ModelConfig.read(weights)
        self.basis = basis(self.config.refiner.expression)

    def network(self) -> nn.Module:
        """See `Objective.network`."""
        return trainable_encoder(self.weights, "expression")

    def example(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Draw a face crop with its standardised targets and their loss weights."""
        frame = random_frame(rng, self.config)
        targets = _targets(frame)
        moment = frame.moment
        open_ = min(max(moment.left, moment.right) / SEEN, 1.0)
        counts = torch.tensor(
            [TARGET_WEIGHTS.get(name, 1.0) * (open_ if name in GAZE else 1) for name in EXPRESSION_TARGETS]
        )
        truth = torch.tensor(
            [(targets[name] - mean) / deviation for name, (mean, deviation) in EXPRESSION_TARGETS.items()]
        )
        return {"crop": unit(frame.crops.face), "truth": truth, "counts": counts}

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Compute `loss` and its parts: `wrong`, the targets' error, and `besides`, the rest of the feature."""
        feature = network(batch["crop"]).float()
        read = self._read(feature)
        wrong = (smooth_l1(read - batch["truth"]) * batch["counts"]).mean()
        besides = (feature - read @ self.basis.to(feature)).square().mean()
        return {"loss": wrong + REST_WEIGHT * besides, "wrong": wrong, "besides": besides}

    def write(self, network: nn.Module, directory: Path) -> None:
        """Write the weights."""
        replace_values(directory, "expression", network.state_dict())

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Return each target's correlation with the truth, on true tracks and on the miniature's detector's."""

        def read(frames: Sequence[DrivingFrame]) -> Tensor:
            return self._read(network(torch.stack([unit(frame.crops.face) for frame in frames])))

        return correlations(network, self.weights, read, _targets)

    def _read(self, feature: Tensor) -> Tensor:
        """Decode features (F, features) to standardised targets (F, targets)."""
        rows = self.basis.to(feature)
        return feature @ rows.T * (len(rows) / rows.shape[1])


def basis(features: int) -> Tensor:
    """Return the fixed orthogonal directions (targets, features) that encode the targets in a feature.

    With standardised targets, a feature's values have a mean variance of 1.
    """
    drawn = np.random.default_rng(0x5A1D).standard_normal((features, len(EXPRESSION_TARGETS)))
    orthogonal = np.linalg.qr(drawn)[0] * np.sqrt(features / len(EXPRESSION_TARGETS))
    return torch.from_numpy(orthogonal.T.astype(np.float32))


def _targets(frame: DrivingFrame) -> dict[str, float]:
    centre, size = centre_and_size(frame.face.box)
    middle, side = centre_and_size(frame.first.box)
    x, y = (centre - middle) / side
    moment = frame.moment
    # Eyes cannot be more than wide open.
    eyes = {name: min(max(getattr(moment, name), 0.0), 1.0) for name in EYES}
    targets = vars(moment) | eyes | {"x": float(x), "y": float(y), "size": float(np.log2(size / side))}
    return {name: targets[name] for name in EXPRESSION_TARGETS}
