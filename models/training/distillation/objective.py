"""The training objective of the preset `fast`: a denoiser of few steps that lands where the guided sampler does."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint

from models.config import ModelConfig
from models.denoiser import Context, Denoiser, PoseGuider
from models.sampler.schedule import euler_step, scale_model_input
from models.sampler.steps import Step, plan_steps
from models.training.denoiser_objective import enable_checkpointing
from models.training.distillation.trajectory_file import read_trajectory
from models.training.objective import Batch, Objective
from models.weights import load_part
from models.weights.distilled import is_adapted, save_distilled
from troupe import PRESETS
from troupe.errors import SettingsError

__all__ = ["DistillationObjective"]

FAST = PRESETS["fast"]
FOLDERS = ("learning", "measuring")
"""Folders of the trajectories to train on and of those held out."""


class Student(nn.Module):
    """The denoiser, evaluated once with all conditions.

    Args:
        directory: weights directory.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        config = ModelConfig.read(directory)
        self.unet = cast("Denoiser", load_part(directory, "unet"))
        guider = cast("PoseGuider", load_part(directory, "pose_guider"))
        with torch.no_grad():
            pose = guider(torch.zeros(1, 3, config.image_size, config.image_size))[0]
        self.register_buffer("pose", pose, persistent=False)

    def forward(self, batch: Batch, latents: Tensor, step: Step) -> Tensor:
        """Predict v for windows of latents (B, W, 4, h, w) at the step's noise level."""
        windows, frames = latents.shape[:2]
        appearance, motion = batch["appearance"], batch["motion"].flatten(0, 1)
        mean, layers = batch["motion"].mean(1), self.unet.transformers
        contexts = (
            Context(tuple(layer.project_appearance(appearance, appearance) for layer in layers)),
            Context(tuple(layer.project_motion(motion, mean) for layer in layers)),
        )
        portrait = batch["portrait"][:, None].expand(windows, frames, -1, -1, -1)
        model_input = torch.cat([scale_model_input(latents, step.sigma), portrait], 2)
        timestep, time_ids = latents.new_tensor([step.timestep]), latents.new_tensor([[FAST.fps, 0.0, 0.0]])
        predicted: Tensor = self.unet(model_input, timestep, time_ids, self.pose, contexts)
        return predicted.float()


class Adapter(nn.Module):
    """A low-rank change of a matrix (Hu et al. 2022), zero at first."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        rank = min(rank, *weight.shape)
        self.up = nn.Parameter(torch.zeros(len(weight), rank))
        self.down = nn.Parameter(torch.randn(rank, weight.shape[1]) / rank**0.5)

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.up @ self.down


class DistillationObjective(Objective):
    """The denoiser learns to land, in its own few steps, where the guided sampler was at the same noise levels.

    The windows were recorded with the guided sampler in all its steps. The student starts from the same noise and takes
    its steps one after the other, with gradients through all of them: a step also learns what helps the following ones.
    The loss is the mean squared error of v over all steps, and of its changes from frame to frame, so that motion is
    kept. Reported for each step is the error of the denoised latents that v stands for.

    Args:
        weights: weights directory of the denoiser, and to write to.
        clips: folder of recorded trajectories, with `learning` and `measuring` in it.
        rank: rank of the adapters of all attention projections; 0 trains all values of the denoiser.
        checkpointing: whether to recompute the denoiser's activations in the backward pass instead of keeping them.

    Raises:
        SettingsError: there are no trajectories.
    """

    def __init__(self, weights: Path, clips: Path, rank: int = 64, checkpointing: bool = False) -> None:
        if rank < 0:
            raise SettingsError(f"fast.options: rank is {rank}; use 0 for all values, or more")
        self.weights, self.rank, self.checkpointing = weights, rank, checkpointing
        self.steps = plan_steps(ModelConfig.read(weights).scheduler, FAST)
        self._learning, self._held_out = (sorted((clips / name).glob("*.safetensors")) for name in FOLDERS)

    def network(self) -> nn.Module:
        """See `Objective.network`."""
        network = Student(self.weights)
        for name, module in list(network.unet.named_modules()):
            if self.rank and is_adapted(name):
                adapter = Adapter(cast("Tensor", module.weight), self.rank)
                parametrize.register_parametrization(module, "weight", adapter, unsafe=True)
        for name, value in network.unet.named_parameters():
            if not self.rank or "parametrizations.weight.0." in name:
                value.data = value.data.clone()  # values mapped from a file are read-only
                value.requires_grad_()
        if self.checkpointing:
            enable_checkpointing(network.unet)
        return network

    def example(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Draw a recorded window."""
        return read_trajectory(self._learning[int(rng.integers(len(self._learning)))])

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Compute `loss`, and the error of each step."""
        states = batch["states"]
        # Only the inputs of each step are kept, and of its blocks while it is recomputed.
        predict = partial(checkpoint, network, use_reentrant=False) if self.checkpointing else network
        latents, losses, errors = states[:, 0], list[Tensor](), dict[str, Tensor]()
        for number, step in enumerate(self.steps):
            latents = euler_step(latents, predict(batch, latents, step), step.sigma, step.next_sigma)
            wrong = (latents - states[:, number + 1]) / (1 - step.next_sigma / step.sigma)
            error, changes = wrong.square().mean(), wrong.diff(dim=1).square().mean() / 2
            losses.append((error + changes) * (1 + step.sigma**-2))
            errors[f"step {number + 1}"] = error
        return {"loss": torch.stack(losses).mean(), **errors}

    def write(self, network: nn.Module, directory: Path) -> None:
        """Write the changes of the denoiser."""
        assert isinstance(network, Student)
        state = network.unet.state_dict()
        if self.rank:
            old = ".parametrizations.weight.0."
            changes = {name.replace(old, ".weight."): value for name, value in state.items() if old in name}
        else:
            before = load_part(self.weights, "unet").state_dict()
            changes = {name: value.float().cpu() - before[name] for name, value in state.items()}
        save_distilled(directory, changes, FAST.steps)

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Return the mean squared errors of the final latents on held-out windows, after and before training."""
        before = Student(self.weights).eval()
        return {"error": self._error(network), "error before": self._error(before)}

    def _error(self, network: nn.Module) -> float:
        found = []
        for path in self._held_out:
            batch = {name: value[None] for name, value in read_trajectory(path).items()}
            with torch.no_grad():
                found.append(float(self.losses(network, batch)[f"step {len(self.steps)}"]))
        return sum(found) / len(found)
