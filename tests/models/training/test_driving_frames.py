"""What the objectives of both motion encoders share: driving frames, training, writing and evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.animator import load
from models.miniature.init_weights import init_weights
from models.training import Objective, driving_frames
from models.training.expression_objective import EXPRESSION_TARGETS, ExpressionObjective
from models.training.head_pose_objective import HeadPoseObjective
from tests.small import SMALL

KINDS = (HeadPoseObjective, ExpressionObjective)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("encoders") / "weights"
    init_weights(directory, 0, SMALL)
    return directory


def batch_of(objective: Objective, *seeds: int) -> dict[str, Tensor]:
    examples = [objective.example(np.random.default_rng(seed)) for seed in seeds]
    return {name: torch.stack([example[name] for example in examples]) for name in examples[0]}


@pytest.mark.parametrize("kind", KINDS)
def test_an_example_depends_on_its_generator_alone(
    weights: Path, kind: type[HeadPoseObjective | ExpressionObjective]
) -> None:
    objective = kind(weights)
    one, again, other = (objective.example(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one["crop"].shape == (3, 64, 64)
    assert all(value.dtype == torch.float32 for value in one.values())
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["crop"], other["crop"])
    assert not torch.equal(one["truth"], other["truth"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_falls(weights: Path, kind: type[HeadPoseObjective | ExpressionObjective]) -> None:
    objective = kind(weights)
    network, batch = objective.network().train(), batch_of(objective, *range(8))
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    losses = []
    for _ in range(10):
        found = objective.losses(network, batch)
        found["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(found["loss"].detach()))
    assert losses[-1] < 0.95 * losses[0]


def test_a_loaded_model_has_the_written_weights(weights: Path) -> None:
    """Except for the precision of float16."""
    crops = torch.from_numpy(np.random.default_rng(0).random((2, 3, 64, 64), dtype=np.float32))
    learned = {}
    for kind in KINDS:
        objective = kind(weights)
        learned[kind] = objective.network()
        with torch.no_grad():
            for value in learned[kind].parameters():
                value *= 1.1
        objective.write(learned[kind], weights)
    networks = load(weights, "cpu", "float32")._networks
    with torch.no_grad():
        torch.testing.assert_close(networks.headpose(crops)[0], learned[HeadPoseObjective](crops)[0], atol=0.5, rtol=0)
        wanted = learned[ExpressionObjective](crops)
        assert float((networks.expression(crops) - wanted).norm() / wanted.norm()) < 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_reports_a_correlation_per_target(
    weights: Path, kind: type[HeadPoseObjective | ExpressionObjective], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driving_frames, "EVALUATION_CLIPS", 2)
    monkeypatch.setattr(driving_frames, "EVALUATION_FRAMES", 4)
    objective = kind(weights)
    found = objective.measure(objective.network())
    names = EXPRESSION_TARGETS if kind is ExpressionObjective else ("yaw", "pitch", "roll")
    assert set(found) == {*names, *(f"{name}, detected" for name in names)}
    assert all(-1 <= value <= 1 for value in found.values())
