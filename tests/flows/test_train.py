"""Training by the command: on synthetic clips and on user clips, with Prefect and without."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from flows.cli import app
from models.animator import load
from models.appearance import Appearance
from models.motion import Motion
from models.weights import inspect_weights, load_voice, require_distilled
from tests.flows.cast import write_clip
from troupe import SamplerSettings

WORLD = """
weights = "{folder}/weights"
base = "{base}"
[clips]
source = "world"
count = 2
frames = 25
sittings = 2
[denoiser]
steps = 3
batch = 2
loaders = 0
[denoiser.options]
frames = 2
"""
FOOTAGE = """
weights = "{folder}/weights"
base = "{base}"
[clips]
source = "{folder}/clips.csv"
frames = 26
sittings = 2
[adapters]
steps = 3
batch = 2
rate = 1e-3
clip = 0.99
loaders = 0
[adapters.options]
frames = 2
checkpointing = true
"""


@pytest.mark.long
def test_training_on_synthetic_clips(weights: Path, tmp_path: Path) -> None:
    config = tmp_path / "training.toml"
    config.write_text(WORLD.format(folder=tmp_path, base=weights))
    first = CliRunner().invoke(app, ["train", str(config), "--local"])
    assert first.exit_code == 0, first.output
    assert "| denoiser | 3 |" in first.stdout
    assert "6 of 6 clips prepared" in first.stderr
    training = tmp_path / "weights.training" / "denoiser"
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert {"curve.jsonl", "curves.png", "recipe.json", "result.json"} < {path.name for path in training.iterdir()}
    again = CliRunner().invoke(app, ["train", str(config), "--local"])
    assert (again.exit_code, again.stdout) == (0, first.stdout)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not any(report.problems for report in inspect_weights(tmp_path / "weights"))


@pytest.mark.long
def test_training_a_voice(weights: Path, tmp_path: Path) -> None:
    config = tmp_path / "training.toml"
    head = WORLD.format(folder=tmp_path, base=weights).split("[denoiser]")[0].replace("frames = 25", "frames = 4")
    config.write_text(f"{head}[voice]\nsteps = 2\nbatch = 2\nloaders = 0\n[voice.options]\nrank = 4\nwidth = 8\n")
    trained = CliRunner().invoke(app, ["train", str(config), "--local", "--part", "voice"])
    assert trained.exit_code == 0, trained.output
    assert "| voice | 2 |" in trained.stdout
    assert "6 of 6 clips prepared" in trained.stderr
    assert load_voice(tmp_path / "weights").config.rank == 4
    assert {path.parts[-2] for path in tmp_path.glob("weights.training/voice-clips-*/*/*")} == {"learning", "measuring"}


@pytest.mark.slow
def test_distilling(weights: Path, tmp_path: Path) -> None:
    """Trajectories are recorded once, and a training goes on from its checkpoint."""
    config = tmp_path / "training.toml"
    head = WORLD.format(folder=tmp_path, base=weights).split("[denoiser]")[0].replace("count = 2", "count = 1")
    for steps in (1, 2):
        config.write_text(f"{head}[fast]\nsteps = {steps}\nbatch = 2\nloaders = 0\n[fast.options]\nrank = 2\n")
        trained = CliRunner().invoke(app, ["train", str(config), "--local", "--part", "fast"])
        assert trained.exit_code == 0, trained.output
        assert f"| fast | {steps} |" in trained.stdout
    assert "5 of 5 clips prepared" in trained.stderr
    curve = (tmp_path / "weights.training/fast/curve.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in curve] == [1, 2]
    require_distilled(tmp_path / "weights")


@pytest.mark.long
@pytest.mark.usefixtures("prefect_session")
def test_fine_tuning_on_user_clips(weights: Path, tmp_path: Path) -> None:
    """With Prefect: only the adapters change, and the result renders."""
    write_clip(tmp_path / "talk.mp4", frames=60, rate="25")
    rows = [{"clip": tmp_path / "talk.mp4"}, {"clip": tmp_path / "missing.mp4"}, {"clip": tmp_path / "clips.csv"}]
    with (tmp_path / "clips.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["clip"])
        writer.writeheader()
        writer.writerows(rows)
    config = tmp_path / "training.toml"
    config.write_text(FOOTAGE.format(folder=tmp_path, base=weights))
    result = CliRunner().invoke(app, ["train", str(config)])
    assert result.exit_code == 0, result.output
    assert "missing.mp4 does not exist" in " ".join(result.stderr.split())
    assert "| adapters | 3 |" in result.stdout
    tuned = tmp_path / "weights"
    for name in ("expression", "headpose", "pose_guider"):
        assert (tuned / f"hyportrait/{name}.pth").read_bytes() == (weights / f"hyportrait/{name}.pth").read_bytes()
    for name in ("dino", "unet", "image_proj", "motion_proj"):
        was, now = (torch.load(folder / f"hyportrait/{name}.pth", weights_only=True) for folder in (weights, tuned))
        assert was.keys() == now.keys()
        moved = {key for key in was if not torch.equal(was[key], now[key])}
        assert moved
        if name in ("dino", "unet"):
            assert all(".adapter." in key or "_ip.0." in key for key in moved)
    animator = load(tuned, "cpu", "float32")
    config_of = animator.config
    appearance = Appearance(torch.zeros(16, 64), torch.zeros(4, 8, 8))
    motion = Motion(
        torch.zeros(2, config_of.refiner.expression), torch.zeros(2, 3), torch.zeros(1, 2, dtype=torch.int64)
    )
    frames = list(animator.animate(appearance, motion, SamplerSettings(steps=1, padding=0)))
    assert [frame.shape for frame in frames] == [(64, 64, 3)] * 2
    found = json.loads((tmp_path / "weights.training" / "adapters" / "result.json").read_text())
    assert found["measured"].keys() == {"loss", "loss before"}


def test_invalid_trainings_are_rejected(tmp_path: Path) -> None:
    config = tmp_path / "training.toml"
    for text, expected in (
        ("", "weights: missing"),
        (f'weights = "{tmp_path}/w"\n[denoiser]\nsteps = 1\n', "denoiser trains on clips"),
        (f'weights = "{tmp_path}/v"\nbase = "{tmp_path}/none"\n[vae]\nsteps = 1\n', "is not a directory"),
    ):
        config.write_text(text)
        result = CliRunner().invoke(app, ["train", str(config), "--local"])
        assert result.exit_code == 2
        assert expected in result.stderr
    result = CliRunner().invoke(app, ["train", str(config), "--local", "--workers", "2"])
    assert "remove it to use --workers" in result.stderr
