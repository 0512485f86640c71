"""The expression encoder's examples, and the directions that encode its targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.miniature.init_weights import init_weights
from models.training.expression_objective import EXPRESSION_TARGETS, TARGET_WEIGHTS, ExpressionObjective, basis
from tests.models.training.test_driving_frames import batch_of
from tests.small import SMALL


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("encoders") / "weights"
    init_weights(directory, 0, SMALL)
    return directory


def test_standardised_targets_have_the_expected_scale(weights: Path) -> None:
    """The means and standard deviations in `EXPRESSION_TARGETS` are about those of the synthetic world."""
    targets = batch_of(ExpressionObjective(weights), *range(20))["truth"]
    assert (targets.mean(0).abs() < 1).all()
    assert ((targets.std(0) > 0.4) & (targets.std(0) < 2)).all()


def test_the_gaze_of_a_closed_eye_has_less_weight(weights: Path) -> None:
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


def test_features_decode_to_their_targets() -> None:
    rows = basis(128)
    assert torch.equal(rows, basis(128))
    targets = torch.from_numpy(
        np.random.default_rng(0).standard_normal((500, len(EXPRESSION_TARGETS)), dtype=np.float32)
    )
    feature = targets @ rows
    assert float(feature.square().mean()) == pytest.approx(1, rel=0.1)
    assert torch.allclose(feature @ rows.T * len(EXPRESSION_TARGETS) / 128, targets, atol=1e-4)
