"""The training loop, on the smallest trainable network."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.training import Batch, Objective
from tasks.train import curves, loop
from tasks.train.config import PartConfig
from tasks.train.examples import Share, batches
from tasks.train.loop import CURVE, PICTURE, train
from tasks.train.results import RESULT, result
from troupe.errors import Cancelled, SettingsError


@dataclass
class Line(Objective):
    """Regression of y = 2 x + 1 from noisy points."""

    def network(self) -> nn.Module:
        network = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1), nn.Linear(1, 1))
        network[3].requires_grad_(False)
        return network

    def example(self, rng: np.random.Generator) -> dict[str, Tensor]:
        x = rng.uniform(-1, 1, 1)
        y = 2 * x + 1 + 0.1 * rng.standard_normal(1)
        return {"x": torch.from_numpy(x).float(), "y": torch.from_numpy(y).float()}

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        away = network[:3](batch["x"]) - batch["y"]  # type: ignore[index]
        return {"loss": away.square().mean(), "away": away.abs().mean()}

    def write(self, network: nn.Module, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        torch.save(network.state_dict(), directory / "line.pth")

    def measure(self, network: nn.Module) -> dict[str, float]:
        return {"at one": float(network[:3](torch.ones(1, 1)))}  # type: ignore[index]


RECIPE = PartConfig("line", steps=60, batch=8, rate=0.03, warmup=5, ema=0.9, save_every=20, loaders=0, seed=3)


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in curves.read(folder / CURVE)]


def values(folder: Path) -> dict[str, Tensor]:
    loaded: dict[str, Tensor] = torch.load(folder / "line.pth", weights_only=True)
    return loaded


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an uninterrupted training, with `weights` and `training`."""
    folder = tmp_path_factory.mktemp("whole")
    train(Line(), RECIPE, folder / "weights", folder / "training")
    return folder


def test_the_loss_falls(whole: Path) -> None:
    found = losses(whole / "training")
    assert len(found) == 60
    assert np.mean(found[-10:]) < np.mean(found[:10]) / 10
    outcome = result(whole / "training", RECIPE)
    assert outcome is not None
    assert outcome["measured"]["at one"] == pytest.approx(3, abs=0.5)
    assert set(outcome["losses"]) == {"loss", "away"}
    assert (whole / "training" / PICTURE).read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in (whole / "training").glob("step-*")) == ["step-00000040.pt", "step-00000060.pt"]


def test_the_learning_rate_warms_up_and_then_falls_along_a_cosine(whole: Path) -> None:
    rates = [line["rate"] for line in curves.read(whole / "training" / CURVE)]
    assert rates[:5] == pytest.approx([0.006, 0.012, 0.018, 0.024, 0.03])
    cosine = [0.05 + 0.95 * (1 + np.cos(np.pi * step / 55)) / 2 for step in range(55)]
    assert rates[5:] == pytest.approx([0.03 * share for share in cosine], rel=1e-9)


def test_a_network_may_have_a_learning_rate_of_its_own(tmp_path: Path) -> None:
    """AdamW's first step has the size of the learning rate."""
    recipe = replace(RECIPE, steps=1, warmup=0, ema=0.0, weight_decay=0.0, rates={"2": 5.0})
    torch.manual_seed(recipe.seed)
    before = Line().network().state_dict()
    train(Line(), recipe, tmp_path / "weights", tmp_path / "training")
    after = values(tmp_path / "weights")
    moved = {name: float((after[name] - before[name]).abs().max()) for name in before}
    assert moved["0.weight"] == pytest.approx(0.03, rel=1e-3)
    assert moved["2.weight"] == pytest.approx(0.15, rel=1e-3)
    assert [line["rate"] for line in curves.read(tmp_path / "training" / CURVE)] == [0.03]


def test_a_learning_rate_of_a_network_that_is_not_trained_is_refused(tmp_path: Path) -> None:
    for name in ("3", "unet"):
        with pytest.raises(SettingsError, match=f"rates: {name} is not trained; use one of 0, 2"):
            train(Line(), replace(RECIPE, rates={name: 2.0}), tmp_path / "weights", tmp_path / "training")


def test_frozen_weights_do_not_change(whole: Path) -> None:
    torch.manual_seed(RECIPE.seed)
    before = Line().network().state_dict()
    after = values(whole / "weights")
    assert torch.equal(before["3.weight"], after["3.weight"])
    assert not torch.equal(before["0.weight"], after["0.weight"])


def test_the_callers_generator_is_not_used(tmp_path: Path) -> None:
    torch.manual_seed(1)
    wanted = torch.rand(1)
    torch.manual_seed(1)
    train(Line(), replace(RECIPE, steps=2), tmp_path / "weights", tmp_path / "training")
    assert torch.equal(torch.rand(1), wanted)


@pytest.mark.parametrize("after", [7, 20, 33])
def test_a_resumed_training_gives_the_same_result(whole: Path, tmp_path: Path, after: int) -> None:
    polls = 0

    def stop() -> bool:
        nonlocal polls
        polls += 1
        return polls == after

    with pytest.raises(Cancelled, match=f"after step {after}"):
        train(Line(), RECIPE, tmp_path / "weights", tmp_path / "training", stop)
    assert len(losses(tmp_path / "training")) == after
    reported: list[int] = []
    train(Line(), RECIPE, tmp_path / "weights", tmp_path / "training", on_step=lambda step, _: reported.append(step))
    assert losses(tmp_path / "training") == losses(whole / "training")
    assert (reported[0], reported[-1]) == (after, 60)
    for name, value in values(whole / "weights").items():
        assert torch.equal(value, values(tmp_path / "weights")[name])


def test_slow_steps_are_reported_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LOG_SECONDS", 0.0)
    reported: list[int] = []
    recipe = replace(RECIPE, steps=4)
    train(Line(), recipe, tmp_path / "weights", tmp_path / "training", on_step=lambda step, _: reported.append(step))
    assert reported == [1, 2, 3, 4]


def test_a_killed_training_repeats_steps(whole: Path, tmp_path: Path) -> None:
    """Lines after the last checkpoint are dropped; an unreadable checkpoint is skipped."""

    class Killed(Line):
        steps = 0

        def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
            self.steps += 1
            if self.steps == 55:
                raise KeyboardInterrupt
            return super().losses(network, batch)

    with pytest.raises(KeyboardInterrupt):
        train(Killed(), RECIPE, tmp_path / "weights", tmp_path / "training")
    assert len(losses(tmp_path / "training")) == 50
    (tmp_path / "training" / "step-00000040.pt").write_bytes(b"half")
    train(Line(), RECIPE, tmp_path / "weights", tmp_path / "training")
    assert losses(tmp_path / "training") == losses(whole / "training")


def test_a_finished_training_is_not_repeated(whole: Path) -> None:
    before = (whole / "training" / RESULT).stat().st_mtime_ns
    train(Line(), RECIPE, whole / "weights", whole / "training")
    assert (whole / "training" / RESULT).stat().st_mtime_ns == before


def test_other_settings_need_another_folder(whole: Path) -> None:
    with pytest.raises(SettingsError, match=r"rate: was 0.03, is 0.04"):
        train(Line(), replace(RECIPE, rate=0.04), whole / "weights", whole / "training")


def test_accumulation_gives_the_same_updates(whole: Path, tmp_path: Path) -> None:
    train(Line(), replace(RECIPE, accumulate=4), tmp_path / "weights", tmp_path / "training")
    assert losses(tmp_path / "training") == pytest.approx(losses(whole / "training"), rel=1e-4)


def test_workers_split_a_batch() -> None:
    """Their parts add up to the batch of a single worker."""
    alone = next(batches(Line(), RECIPE, 4, Share()))
    two = [next(batches(Line(), RECIPE, 4, Share(rank, 2))) for rank in range(2)]
    assert torch.equal(torch.cat([part["x"] for part in two]), alone["x"])
    later = list(batches(Line(), replace(RECIPE, steps=6), 4, Share()))
    assert len(later) == 2
    assert torch.equal(later[0]["x"], alone["x"])


@pytest.mark.long
def test_loader_processes_make_the_same_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # for the loaders
    loaded = batches(Line(), replace(RECIPE, steps=3, loaders=1), 0, Share())
    local = batches(Line(), replace(RECIPE, steps=3), 0, Share())
    for other, own in zip(loaded, local, strict=True):
        assert torch.equal(other["x"], own["x"])
        assert not list(tmp_path.glob("pymp-*")), "a folder that a killed loader leaves behind"


def test_a_batch_that_does_not_divide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="a batch of 8 cannot be shared by 1 workers in 3 passes"):
        train(Line(), replace(RECIPE, accumulate=3), tmp_path / "weights", tmp_path / "training")


def test_incomplete_lines_of_the_curve_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / CURVE
    path.write_text(json.dumps({"step": 1, "loss": 1.0}) + '\n{"step": 2, "lo')
    assert [line["step"] for line in curves.read(path)] == [1]


def test_the_loss_falls_in_bf16(tmp_path: Path) -> None:
    """Even after a training with another precision in the same process."""
    train(Line(), replace(RECIPE, precision="bf16"), tmp_path / "weights", tmp_path / "training")
    found: Any = losses(tmp_path / "training")
    assert np.mean(found[-10:]) < np.mean(found[:10]) / 10


@dataclass
class Plane(Line):
    """`Line` with matrices that are large enough for Muon."""

    def network(self) -> nn.Module:
        return nn.Sequential(nn.Linear(1, 16), nn.Linear(16, 16), nn.Linear(16, 1))


def test_muon_trains_and_resumes(tmp_path: Path) -> None:
    recipe, folder = replace(RECIPE, optimizer="muon"), tmp_path / "training"
    train(Plane(), recipe, tmp_path / "weights", tmp_path / "whole")
    stops = iter([False] * 30 + [True])
    with pytest.raises(Cancelled):
        train(Plane(), recipe, tmp_path / "weights", folder, lambda: next(stops))
    train(Plane(), recipe, tmp_path / "weights", folder)
    assert losses(folder) == losses(tmp_path / "whole")
    assert sum(losses(folder)[-10:]) < 0.1 * sum(losses(folder)[:5])


def test_settings_of_versions_without_muon(whole: Path) -> None:
    was = RECIPE.as_dict()
    del was["optimizer"]
    assert RECIPE.differences(was) == []
    assert replace(RECIPE, optimizer="muon").differences(was) == ["optimizer: was 'adamw', is 'muon'"]


def test_training_in_another_thread(tmp_path: Path) -> None:
    """As in Prefect's tasks."""
    thread = threading.Thread(target=train, args=(Line(), RECIPE, tmp_path / "weights", tmp_path / "training"))
    thread.start()
    thread.join()
    assert result(tmp_path / "training", RECIPE)
