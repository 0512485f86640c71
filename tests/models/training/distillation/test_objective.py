"""The recorded trajectories and the losses of a distilled denoiser."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from models.animator import Animator, load
from models.denoiser import Denoiser
from models.miniature.init_weights import init_weights
from models.sampler import Scene, sample
from models.sampler.steps import Step
from models.training.distillation import trajectory_file
from models.training.distillation.objective import DistillationObjective, Student
from models.training.distillation.trajectory_file import read_trajectory, record_scene, record_synthetic
from models.training.synthetic_clips import synthetic_clip
from models.weights import load_distilled, load_part, require_distilled
from tests.small import QUICK
from troupe import PRESETS
from troupe.errors import InputError, SettingsError

FAST = replace(PRESETS["fast"], overlap=0, shift=0, padding=0)
WINDOW = QUICK.window


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("distillation") / "weights"
    init_weights(directory, 0, QUICK)
    return directory


@pytest.fixture(scope="module")
def animator(weights: Path) -> Animator:
    return load(weights, "cpu", "float32")


@pytest.fixture(scope="module")
def clips(animator: Animator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trajectory to learn from, held out as well."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / "learning").mkdir()
    record_synthetic(animator, 0, folder / "learning" / "0.safetensors", held_out=False)
    shutil.copytree(folder / "learning", folder / "measuring")
    return folder


def batch_of(path: Path) -> dict[str, Tensor]:
    return {name: value[None] for name, value in read_trajectory(path).items()}


def test_a_trajectory_leads_from_noise_to_the_clip(clips: Path, tmp_path: Path) -> None:
    path = clips / "learning" / "0.safetensors"
    found = read_trajectory(path)
    assert found["states"].shape == (5, WINDOW, 4, 8, 8)
    assert found["motion"].shape == (WINDOW, QUICK.refiner.latents, QUICK.unet.cross_attention_dim)
    scales = found["states"].flatten(1).std(1).tolist()
    assert scales[:3] == pytest.approx([QUICK.scheduler.sigma_max, 11.3, 2.4], rel=0.2)
    path = tmp_path / "damaged"
    path.write_bytes(b"x")
    with pytest.raises(SettingsError, match="cannot be read as a recorded trajectory"):
        read_trajectory(path)


def test_a_window_of_a_scene(animator: Animator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = replace(trajectory_file.TEACHER, appearance_guidance=(1.0, 1.0), motion_guidance=(1.0, 1.0), deep_every=25)
    monkeypatch.setattr(trajectory_file, "TEACHER", quick)
    clip = synthetic_clip(0, WINDOW + 2, 1)
    record_scene(animator, clip.frames, clip.track, 3, tmp_path / "scene")
    assert read_trajectory(tmp_path / "scene")["states"].shape == (5, WINDOW, 4, 8, 8)
    with pytest.raises(InputError, match=f"has {WINDOW - 1} frames, fewer than a window of {WINDOW}"):
        record_scene(animator, clip.frames[:-3], clip.track.part(0, WINDOW - 1), 0, tmp_path / "short")


def test_the_student_takes_the_steps_of_the_sampler(animator: Animator, clips: Path, weights: Path) -> None:
    """Before it has learned anything, it lands where the sampler with its steps and without guidance does."""
    batch = batch_of(clips / "learning" / "0.safetensors")
    objective = DistillationObjective(weights, clips, rank=0)
    network = objective.network().eval()
    assert isinstance(network, Student)
    latents = [batch["states"][:, 0]]
    for step in objective.steps:
        with torch.no_grad():
            v = network(batch, latents[-1], step)
        clean = latents[-1] / (step.sigma**2 + 1) - v * step.sigma / (step.sigma**2 + 1) ** 0.5
        latents.append(clean + (latents[-1] - clean) * (step.next_sigma / step.sigma))
    taken = torch.stack(latents, 1)
    with torch.no_grad():
        assert float(objective.losses(network, batch | {"states": taken})["loss"]) < 1e-10
    noise = (taken[0, 0] - QUICK.vae.scaling_factor * batch["portrait"]) / objective.steps[0].sigma
    sampled = sample_with(animator, batch, noise)
    torch.testing.assert_close(taken[0, -1], sampled, atol=1e-4, rtol=1e-4)


def sample_with(animator: Animator, batch: dict[str, Tensor], noise: Tensor) -> Tensor:
    denoiser = animator._networks.denoiser
    scene = Scene(
        denoiser.project_appearance(batch["appearance"][0]),
        denoiser.project_motion(batch["motion"][0], 2**40),
        batch["portrait"][0],
        animator._pose,
    )
    return sample(denoiser, scene, noise, FAST, animator.config).latents


def test_the_first_step_learns_from_the_last(weights: Path, clips: Path) -> None:
    objective = DistillationObjective(weights, clips, rank=0)
    batch = batch_of(clips / "learning" / "0.safetensors")
    given = torch.ones((), requires_grad=True)

    class Scaled(torch.nn.Module):
        """Predicts a multiple of the latents in the first step, and zero afterwards."""

        def forward(self, _: dict[str, Tensor], latents: Tensor, step: Step) -> Tensor:
            return given * latents if step is objective.steps[0] else torch.zeros_like(latents)

    (gradient,) = torch.autograd.grad(objective.losses(Scaled(), batch)["step 4"], given)
    assert float(gradient.abs()) > 0


def test_errors_that_change_from_frame_to_frame_cost_more(weights: Path, clips: Path) -> None:
    objective = DistillationObjective(weights, clips, rank=0)
    batch = batch_of(clips / "learning" / "0.safetensors")

    class Wrong(torch.nn.Module):
        """Lands beside the sampler's states by a constant, with a sign for each frame."""

        def __init__(self, signs: Tensor) -> None:
            super().__init__()
            self.signs = signs[None, :, None, None, None]

        def forward(self, _: dict[str, Tensor], latents: Tensor, step: Step) -> Tensor:
            number = objective.steps.index(step)
            states = batch["states"][:, number + 1] + 0.1 * self.signs * (1 - step.next_sigma / step.sigma)
            clean = (states - latents * step.next_sigma / step.sigma) / (1 - step.next_sigma / step.sigma)
            return (latents / (step.sigma**2 + 1) - clean) * (step.sigma**2 + 1) ** 0.5 / step.sigma

    steady, trembling = torch.ones(WINDOW), torch.tensor([1.0, -1.0]).repeat(WINDOW)[:WINDOW]
    still, moving = (objective.losses(Wrong(signs), batch) for signs in (steady, trembling))
    assert float(still["step 4"]) == pytest.approx(0.01, rel=1e-3)
    assert float(moving["step 4"]) == pytest.approx(0.01, rel=1e-3)
    assert float(moving["loss"]) == pytest.approx(3 * float(still["loss"]), rel=1e-2)


@pytest.mark.parametrize("rank", [0, pytest.param(4, marks=pytest.mark.long)])
def test_it_learns_and_is_written(weights: Path, clips: Path, tmp_path: Path, rank: int) -> None:
    directory = Path(shutil.copytree(weights, tmp_path / "weights"))
    objective = DistillationObjective(directory, clips, rank=rank, checkpointing=bool(rank))
    torch.manual_seed(0)
    network = objective.network()
    learned = [value for value in network.parameters() if value.requires_grad]
    assert (sum(value.numel() for value in learned) < 50_000) == bool(rank)
    optimizer = torch.optim.AdamW(learned, 1e-3, weight_decay=0)
    batch = {name: value[None] for name, value in objective.example(np.random.default_rng(0)).items()}
    errors = []
    for _ in range(4):
        optimizer.zero_grad()
        losses = objective.losses(network, batch)
        losses["loss"].backward()
        optimizer.step()
        errors.append(float(losses["loss"].detach()))
    assert errors[-1] < errors[0]
    measured = objective.measure(network.eval())
    assert measured["error"] != measured["error before"]
    objective.write(network, directory)
    require_distilled(directory)
    base = cast("Denoiser", load_part(directory, "unet"))
    loaded = load_distilled(directory, base)
    step = objective.steps[1]
    with torch.no_grad():
        wanted = network(batch, batch["states"][:, 1], step)
        network.unet = loaded
        torch.testing.assert_close(network(batch, batch["states"][:, 1], step), wanted, atol=2e-3, rtol=2e-3)
        network.unet = base
        assert not torch.allclose(network(batch, batch["states"][:, 1], step), wanted, atol=2e-3)


def test_options_are_checked(weights: Path, clips: Path) -> None:
    with pytest.raises(SettingsError, match="rank is -1"):
        DistillationObjective(weights, clips, rank=-1)
