"""A training that two processes share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.train.loop import train
from tasks.train.ray_train import train_distributed
from tests.tasks.train.test_loop import RECIPE, Line, losses
from troupe.errors import Cancelled, SettingsError


def together(folder: Path, stop: bool = False, told: list[int] | None = None, workers: int = 2) -> None:
    seen = [] if told is None else told
    train_distributed(
        Line(),
        RECIPE,
        folder / "weights",
        folder / "training",
        lambda: stop,
        lambda step, _: seen.append(step),
        "auto",
        workers,
        None,
    )


@pytest.mark.long
def test_two_workers_give_the_same_losses(ray_session: str, tmp_path: Path) -> None:
    train(Line(), RECIPE, tmp_path / "alone" / "weights", tmp_path / "alone" / "training")
    with pytest.raises(Cancelled, match="stopped after step 10"):
        together(tmp_path, stop=True)
    told: list[int] = []
    together(tmp_path, told=told)
    assert losses(tmp_path / "training") == pytest.approx(losses(tmp_path / "alone" / "training"), rel=1e-4)


def test_a_batch_that_cannot_be_shared(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be shared by 3 workers"):
        together(tmp_path, workers=3)
