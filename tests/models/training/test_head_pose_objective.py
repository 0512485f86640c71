"""The head-pose encoder's examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.miniature.init_weights import init_weights
from models.training.head_pose_objective import HeadPoseObjective
from tests.models.training.test_driving_frames import batch_of
from tests.small import SMALL


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("encoders") / "weights"
    init_weights(directory, 0, SMALL)
    return directory


def test_drawn_pictures_are_reused_and_mirrored(weights: Path) -> None:
    objective = HeadPoseObjective(weights, pictures=2)
    examples = [objective.example(np.random.default_rng(seed)) for seed in range(24)]
    pictures = {example["crop"].numpy().tobytes(): example for example in examples}
    assert len(pictures) == 4
    for example in pictures.values():
        mirrored = pictures[example["crop"].flip(2).contiguous().numpy().tobytes()]
        yaw, pitch, roll, x, y, size = example["truth"].tolist()
        assert mirrored["truth"].tolist() == [-yaw, pitch, -roll, -x, y, size]
    # Independent of the process and of the order of the examples.
    again = HeadPoseObjective(weights, pictures=2).example(np.random.default_rng(23))
    assert all(torch.equal(again[name], examples[23][name]) for name in again)


def test_targets_have_the_expected_scale(weights: Path) -> None:
    placed = batch_of(HeadPoseObjective(weights), *range(20))["truth"]
    assert (placed[:, 3:].abs() < 2).all()
    assert 5 < placed[:, 0].std() < 30
