"""The motion encoders' examples and losses, and that what they wrote is what a render reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import models.training.motion_encoders as module
from models.animator import load
from models.miniature.init_weights import init_weights
from models.training import Objective
from models.training.motion_encoders import (
    EXPRESSION_TARGETS,
    TARGET_WEIGHTS,
    ExpressionObjective,
    HeadPoseObjective,
    basis,
)
from tests.small import SMALL

KINDS = (HeadPoseObjective, ExpressionObjective)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("reading") / "weights"
    init_weights(directory, 0, SMALL)
    return directory


def batch_of(objective: Objective, *seeds: int) -> dict[str, Tensor]:
    examples = [objective.example(np.random.default_rng(seed)) for seed in seeds]
    return {name: torch.stack([example[name] for example in examples]) for name in examples[0]}


@pytest.mark.parametrize("kind", KINDS)
def test_an_example_follows_from_its_dice(weights: Path, kind: type[HeadPoseObjective | ExpressionObjective]) -> None:
    objective = kind(weights)
    one, again, other = (objective.example(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one["crop"].shape == (3, 64, 64)
    assert all(value.dtype == torch.float32 for value in one.values())
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["crop"], other["crop"])
    assert not torch.equal(one["truth"], other["truth"])


def test_pictures_that_are_kept_are_few_and_in_a_mirror_as_often_as_not(weights: Path) -> None:
    objective = HeadPoseObjective(weights, pictures=2)
    examples = [objective.example(np.random.default_rng(seed)) for seed in range(24)]
    pictures = {example["crop"].numpy().tobytes(): example for example in examples}
    assert len(pictures) == 4
    for example in pictures.values():
        mirrored = pictures[example["crop"].flip(2).contiguous().numpy().tobytes()]
        yaw, pitch, roll, x, y, size = example["truth"].tolist()
        assert mirrored["truth"].tolist() == [-yaw, pitch, -roll, -x, y, size]
    # Whoever draws them, and in whatever order.
    again = HeadPoseObjective(weights, pictures=2).example(np.random.default_rng(23))
    assert all(torch.equal(again[name], examples[23][name]) for name in again)


def test_truths_have_the_size_they_are_said_to_have(weights: Path) -> None:
    """What the world's middle and deviation are said to be, they are about."""
    pose, expression = HeadPoseObjective(weights), ExpressionObjective(weights)
    placed = batch_of(pose, *range(20))["truth"]
    assert (placed[:, 3:].abs() < 2).all()
    assert 5 < placed[:, 0].std() < 30
    said = batch_of(expression, *range(20))["truth"]
    assert (said.mean(0).abs() < 1).all()
    assert ((said.std(0) > 0.4) & (said.std(0) < 2)).all()


def test_a_closed_eye_has_no_gaze(weights: Path) -> None:
    objective = ExpressionObjective(weights)
    names = list(EXPRESSION_TARGETS)
    counts = batch_of(objective, *range(30))["counts"]
    counts = counts / torch.tensor([TARGET_WEIGHTS.get(name, 1.0) for name in names])
    gaze = counts[:, [names.index("gaze_x"), names.index("gaze_y")]]
    assert torch.allclose(gaze[:, 0], gaze[:, 1])
    assert gaze.min() < 1
    assert gaze.max() == 1
    rest = [index for index, name in enumerate(names) if not name.startswith("gaze")]
    assert (counts[:, rest] == 1).all()


def test_a_feature_says_it_along_directions_of_its_own() -> None:
    rows = basis(128)
    assert torch.equal(rows, basis(128))
    said = torch.from_numpy(np.random.default_rng(0).standard_normal((500, len(EXPRESSION_TARGETS)), dtype=np.float32))
    feature = said @ rows
    assert float(feature.square().mean()) == pytest.approx(1, rel=0.1)
    assert torch.allclose(feature @ rows.T * len(EXPRESSION_TARGETS) / 128, said, atol=1e-4)


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


def test_what_was_learned_is_what_is_read(weights: Path) -> None:
    """An encoder of a loaded model gives what the one that learned gives, but for the 16 bits of its file."""
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
def test_what_is_measured(
    weights: Path, kind: type[HeadPoseObjective | ExpressionObjective], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MEASURED", 2)
    monkeypatch.setattr(module, "FRAMES", 4)
    objective = kind(weights)
    found = objective.measure(objective.network())
    names = EXPRESSION_TARGETS if kind is ExpressionObjective else ("yaw", "pitch", "roll")
    assert set(found) == {*names, *(f"{name}, detected" for name in names)}
    assert all(-1 <= value <= 1 for value in found.values())
