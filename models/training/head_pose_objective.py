"""The training objective of the head-pose encoder, on synthetic driving frames."""

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
from troupe import Picture
from troupe.faces import Floats

__all__ = ["HeadPoseObjective"]

ANGLES = ("yaw", "pitch", "roll")
MIRRORED = np.array([-1, 1, -1, -1, 1, 1], np.float32)
"""Signs of angles and position (see `_position`) in a mirrored picture."""
DEGREES = 10.0
"""Error of an angle that weighs as much as an error of 1 elsewhere."""


class HeadPoseObjective(Objective):
    """Regression of angles in degrees, and of the face's position in the head crop, by the head-pose encoder.

    Args:
        weights: weights directory to start from and to write to.
        pictures: number of pictures that every process draws once and keeps, mirrored at random, because drawing one
            takes ten times as long as a training step on it. 0 draws a new one for every example.
    """

    def __init__(self, weights: Path, pictures: int = 0) -> None:
        self.weights, self.config = weights, ModelConfig.read(weights)
        self.pictures = pictures
        self._drawn: dict[int, tuple[Picture, Floats]] = {}

    def network(self) -> nn.Module:
        """See `Objective.network`."""
        return trainable_encoder(self.weights, "headpose")

    def example(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Draw a head crop with its targets."""
        if not self.pictures:
            return _as_tensors(self._picture(rng))
        number = int(rng.integers(self.pictures))
        if number not in self._drawn:
            self._drawn[number] = self._picture(np.random.default_rng((number, 0x4EAD)))
        crop, truth = self._drawn[number]
        return _as_tensors((crop[:, ::-1], truth * MIRRORED) if rng.random() < 0.5 else (crop, truth))

    def _picture(self, rng: np.random.Generator) -> tuple[Picture, Floats]:
        frame = random_frame(rng, self.config)
        return frame.crops.head, np.array([*_angles(frame), *_position(frame)], np.float32)

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Compute `loss`, and the mean error of the angles in `degrees`."""
        rotation, translation = network(batch["crop"])
        turned, placed = rotation - batch["truth"][:, :3], translation - batch["truth"][:, 3:]
        loss = smooth_l1(turned / DEGREES).mean() + smooth_l1(placed * 4).mean()
        return {"loss": loss, "degrees": turned.abs().mean()}

    def write(self, network: nn.Module, directory: Path) -> None:
        """Write the weights."""
        replace_values(directory, "headpose", network.state_dict())

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Return each angle's correlation with the truth, on true tracks and on the miniature's detector's."""

        def read(frames: Sequence[DrivingFrame]) -> Tensor:
            rotation: Tensor = network(torch.stack([unit(frame.crops.head) for frame in frames]))[0]
            return rotation

        return correlations(network, self.weights, read, lambda frame: dict(zip(ANGLES, _angles(frame), strict=True)))


def _as_tensors(picture: tuple[Picture, Floats]) -> dict[str, Tensor]:
    return {"crop": unit(picture[0]), "truth": torch.from_numpy(picture[1])}


def _angles(frame: DrivingFrame) -> list[float]:
    return [float(getattr(frame.moment, name)) for name in ANGLES]


def _position(frame: DrivingFrame) -> list[float]:
    """Return the face's centre in the head crop, -2..2 from side to side, and twice the binary logarithm of its size, 0
    for half of the crop's."""
    centre, size = centre_and_size(frame.face.box)
    middle, side = centre_and_size(frame.head)
    x, y = (centre - middle) / side * 4
    return [float(x), float(y), float(2 * np.log2(2 * size / side))]
