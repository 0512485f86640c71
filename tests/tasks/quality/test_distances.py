"""tasks.quality.distances: known answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.faces.alignment import TEMPLATE
from tasks.quality.distances import (
    Flicker,
    expression_distance,
    landmark_distance,
    pose_distance,
    shape_distance,
    similarity,
)

FACE = TEMPLATE.astype(np.float32)


def flicker(levels: list[float]) -> float | None:
    """Of uniform frames of these grey levels."""
    measure = Flicker()
    for level in levels:
        measure.update(np.full((16, 18, 3), level, np.uint8))
    return measure.compute()


def test_flicker() -> None:
    assert flicker([10, 10]) is None
    assert flicker([10, 10, 10, 10]) == 0
    assert flicker([10, 20, 30, 40]) == 0  # a steady fade
    assert flicker([10, 20, 10, 20]) == 10  # back and forth by ten
    assert flicker([0, 255, 0]) == 255


def test_flicker_is_measured_on_means_of_blocks() -> None:
    video = np.random.default_rng(0).integers(0, 256, (3, 19, 30, 3), np.uint8)
    meter = Flicker()
    for frame in video:
        meter.update(frame)
    small = video[:, :16, :28].astype(np.float64).reshape(3, 4, 4, 7, 4, 3).mean(axis=(2, 4, 5))
    assert meter.compute() == pytest.approx(np.abs(small[0] - 2 * small[1] + small[2]).mean() / 2, rel=1e-5)


def test_noise_flickers_by_its_size() -> None:
    random, measure = np.random.default_rng(0), Flicker()
    for _ in range(40):
        measure.update(np.clip(random.normal(128, 20, (64, 64, 3)), 0, 255).astype(np.uint8))
    # Averaged over 4x4 pixels of 3 colours, a deviation of 20 is one of 20 / sqrt(48); of a - 2b + c, sqrt(6) times
    # that; the mean of a normal's size is sqrt(2 / pi) deviations.
    assert measure.compute() == pytest.approx(20 / 48**0.5 * 6**0.5 * (2 / np.pi) ** 0.5 / 2, rel=0.03)


def test_landmarks() -> None:
    assert landmark_distance(FACE, FACE) == 0
    assert landmark_distance(FACE, FACE + np.float32([3, 4])) == pytest.approx(5)


def test_shapes() -> None:
    assert shape_distance(FACE, FACE) == 0
    assert shape_distance(FACE, FACE * 3 + 50) == pytest.approx(0, abs=1e-5)  # larger, and elsewhere
    open_mouth = FACE + np.float32([[0, 0], [0, 0], [0, 0], [0, 8], [0, 8]])
    assert 0.02 < shape_distance(FACE, open_mouth) < 0.3
    assert shape_distance(FACE, FACE * np.float32([1, -1])) > 0.8  # upside down
    assert shape_distance(FACE, np.zeros_like(FACE)) == pytest.approx(1, abs=0.2)  # no shape at all


def test_vectors() -> None:
    vector = torch.tensor([[3.0, 4.0]])
    assert similarity(vector, vector * 2) == pytest.approx(1)
    assert similarity(vector, torch.tensor([[-4.0, 3.0]])) == pytest.approx(0)
    features = torch.randn(7, 5)
    assert expression_distance(features, features * 2) == pytest.approx(0, abs=1e-6)
    assert expression_distance(features, -features) == pytest.approx(2)
    angles = torch.tensor([[10.0, -20.0, 179.0]])
    assert pose_distance(angles, angles) == 0
    assert pose_distance(angles, torch.tensor([[13.0, -20.0, -178.0]])) == pytest.approx((3 + 0 + 3) / 3)
