"""Distributed training by two processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.train.loop import train
from tasks.train.ray_train import train_distributed
from tests.tasks.train.test_loop import RECIPE, Line, losses
from troupe.errors import Cancelled, SettingsError


def train_together(folder: Path, stop: bool = False, reported: list[int] | None = None, workers: int = 2) -> None:
    steps = [] if reported is None else reported
    train_distributed(
        Line(),
        RECIPE,
        folder / "weights",
        folder / "training",
        lambda: stop,
        lambda step, _: steps.append(step),
        "auto",
        workers,
        None,
    )


@pytest.mark.long
def test_two_workers_give_the_same_losses(ray_session: str, tmp_path: Path) -> None:
    train(Line(), RECIPE, tmp_path / "alone" / "weights", tmp_path / "alone" / "training")
    with pytest.raises(Cancelled, match="stopped after step 1;"):
        train_together(tmp_path, stop=True)
    reported: list[int] = []
    train_together(tmp_path, reported=reported)
    assert losses(tmp_path / "training") == pytest.approx(losses(tmp_path / "alone" / "training"), rel=1e-4)


def test_a_batch_that_does_not_divide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be shared by 3 workers"):
        train_together(tmp_path, workers=3)
