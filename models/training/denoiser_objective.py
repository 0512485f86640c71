"""The training objectives of the denoiser and of its conditioning networks.

The loss is the mean square error of v (Salimans and Ho, arXiv 2202.00512) at noise levels whose logarithm is normally
distributed, as in the training of Stable Video Diffusion (Karras et al., arXiv 2206.00364, table 1; Blattmann et al.,
arXiv 2311.15127, appendix). Conditions are dropped at random, so that one network gives all three branches of the
guidance.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.appearance import transformer_input
from models.config import ModelConfig
from models.denoiser import Context, Denoiser, ResBlock, Transformer
from models.motion import motion_tokens
from models.training.clip_file import ClipFile
from models.training.objective import Batch, Objective
from models.weights import load_networks, replace_values
from troupe.errors import SettingsError

__all__ = ["AdapterObjective", "Animation", "DenoiserObjective", "enable_checkpointing"]

FPS = 12.5
"""Frame rate passed to the denoiser, as by the sampler."""
MEASURED_AT = (0.3, 1.0, 3.0, 10.0)
"""Noise levels of the evaluation."""
WINDOWS = 6
"""Number of examples per noise level in the evaluation."""


class Animation(nn.Module):
    """The networks that are trained together, each under the name of its file in a weights directory.

    Args:
        directory: weights directory.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        config, networks = load_networks(directory, torch.device("cpu"), torch.float32)
        self.dino, self.image_proj = networks.transformer, networks.projector
        self.motion_proj, self.unet = networks.refiner, networks.denoiser
        black = torch.zeros(1, 3, config.image_size, config.image_size)
        with torch.no_grad():
            self.register_buffer("pose", networks.pose_guider(black)[0], persistent=False)

    def forward(self, batch: Batch, noisy: Tensor, sigma: Tensor) -> Tensor:
        """Predict v.

        Args:
            batch: examples of `DenoiserObjective.example`.
            noisy: (B, W, 4, h, w), scaled noisy latents.
            sigma: (B,).

        Returns:
            v, (B, W, 4, h, w).
        """
        clips, frames = noisy.shape[:2]
        kept = batch["kept"].to(noisy)
        known, moved = kept[:, 0, None, None], kept[:, 1, None, None]
        tokens = self.image_proj(self.dino(batch["picture"], batch["identity"])) * known
        refined = self.motion_proj(batch["expression"].flatten(0, 1), batch["intensity"].flatten(0, 1))
        motion = motion_tokens(refined, batch["rotation"].flatten(0, 1)) * moved.repeat_interleave(frames, 0)
        windows = motion.view(clips, frames, *motion.shape[1:]).mean(1)
        layers = self.unet.transformers
        contexts = (
            Context(tuple(layer.project_appearance(tokens, tokens) for layer in layers)),
            Context(tuple(layer.project_motion(motion, windows) for layer in layers)),
        )
        scaled = noisy / torch.sqrt(sigma**2 + 1)[:, None, None, None, None]
        portrait = (batch["portrait"] * known[..., None])[:, None].expand(-1, frames, -1, -1, -1)
        time_ids = sigma.new_tensor([[FPS, 0.0, 0.0]])
        predicted: Tensor = self.unet(
            torch.cat([scaled, portrait], 2), 0.25 * sigma.log(), time_ids, self.pose, contexts
        )
        return predicted


class DenoiserObjective(Objective):
    """Training of the appearance extractor, the refiner with its memory bank, and the denoiser.

    Args:
        weights: weights directory to start from and to write to; its other parts are frozen.
        clips: folder of prepared clips, with `learning` and `measuring` in it.
        frames: number of frames per example. With 1, full training bypasses the temporal layers (the image indicator of
            Stable Video Diffusion's mixers) and zeroes their output until they are trained on more frames.
        cast: number of consecutive clips that show one performance by other people; one of them may drive another.
        cross: probability that another person's clip drives.
        log_sigma: mean and standard deviation of the logarithm of the noise level; Stable Video Diffusion's by default.
        without_motion: probability of dropping the motion alone.
        without_both: probability of dropping motion and appearance.
        checkpointing: whether to recompute the denoiser's activations in the backward pass instead of keeping them.
        emphasis: how much more an error on eyes and mouth counts, as a multiple of the same error elsewhere.

    Raises:
        SettingsError: there are no clips with enough frames for an example.
    """

    def __init__(
        self,
        weights: Path,
        clips: Path,
        frames: int = 25,
        cast: int = 1,
        cross: float = 0.5,
        log_sigma: tuple[float, float] | list[float] = (0.7, 1.6),
        without_motion: float = 0.1,
        without_both: float = 0.1,
        checkpointing: bool = False,
        emphasis: float = 0.0,
    ) -> None:
        self.weights, self.clips, self.emphasis = weights, clips, float(emphasis)
        self.frames, self.cast, self.cross = frames, cast, cross
        self.log_sigma = (float(log_sigma[0]), float(log_sigma[1]))
        self.without_motion, self.without_both = without_motion, without_both
        self.checkpointing = checkpointing
        self.config = ModelConfig.read(weights)

    def network(self) -> nn.Module:
        """See `Objective.network`."""
        network = Animation(self.weights)
        for name, value in network.named_parameters():
            if self.learns(name):
                value.data = value.data.clone()  # values mapped from a file are read-only
                value.requires_grad_()
        if self.frames == 1 and all(value.requires_grad for value in network.unet.parameters()):
            _bypass_temporal_layers(network.unet)
        if self.checkpointing:
            enable_checkpointing(network.unet)
        return network

    def learns(self, name: str) -> bool:
        """Whether the parameter of that name is trained; all are."""
        del name
        return True

    def example(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Draw a window of a clip, a portrait from another frame of it, and the noise."""
        return self._example(self._learning, rng)

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Compute `loss`, the mean squared error of v, weighted by `emphasis`."""
        sigma = batch["sigma"][:, 0]
        wide = sigma[:, None, None, None, None]
        clean = self.config.vae.scaling_factor * batch["latents"]
        noisy = clean + wide * batch["noise"]
        wanted = (noisy / (wide**2 + 1) - clean) * torch.sqrt(wide**2 + 1) / wide
        v = network(batch, noisy, sigma)
        weights = 1 + self.emphasis * batch["features"][:, :, None]
        return {"loss": ((v.float() - wanted).square() * weights).mean() / weights.mean()}

    def write(self, network: nn.Module, directory: Path) -> None:
        """Write the trained parameters into their files; all other values there stay unchanged, to the bit."""
        learned: dict[str, dict[str, Tensor]] = {}
        for name, value in network.named_parameters():
            if value.requires_grad:
                part, _, key = name.partition(".")
                learned.setdefault(part, {})[key] = value.detach()
        for part, values in learned.items():
            replace_values(directory, part, values)

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Return the loss on held-out clips, at fixed noise levels, after and before training."""
        return {"loss": self._measured(network), "loss before": self._measured(self.network().eval())}

    def _measured(self, network: nn.Module) -> float:
        found = []
        for number in range(WINDOWS * len(MEASURED_AT)):
            example = self._example(self._measuring, np.random.default_rng((number, 0x3EA5)))
            example["sigma"] = torch.tensor([MEASURED_AT[number % len(MEASURED_AT)]])
            example["kept"] = torch.ones(2)
            batch = {name: value[None] for name, value in example.items()}
            with torch.no_grad():
                found.append(float(self.losses(network, batch)["loss"]))
        return sum(found) / len(found)

    def _example(self, clips: list[list[ClipFile]], rng: np.random.Generator) -> dict[str, Tensor]:
        scene = clips[int(rng.integers(len(clips)))]
        clip = driver = scene[int(rng.integers(len(scene)))]
        if len(scene) > 1 and rng.random() < self.cross:
            driver = next(other for other in np.array(scene)[rng.permutation(len(scene))] if other is not clip)
        first = int(rng.integers(clip.frames - self.frames + 1))
        shown, performed = clip.read_window(first, self.frames), driver.read_window(first, self.frames)
        portrait_frame = clip.read_portrait_frame(int(rng.integers(clip.portrait_frames)))
        left_out = rng.random()
        motion = left_out >= self.without_motion + self.without_both
        noise = rng.standard_normal(shown.latents.shape, dtype=np.float32)
        return {
            "latents": shown.latents,
            "features": shown.features,
            "expression": performed.expression,
            "rotation": performed.rotation,
            "intensity": performed.intensity,
            "picture": transformer_input(portrait_frame.crop, self.config.appearance.input_size),
            "identity": portrait_frame.identity,
            "portrait": portrait_frame.latents,
            "noise": torch.from_numpy(noise),
            "sigma": torch.tensor([np.exp(rng.normal(*self.log_sigma))], dtype=torch.float32),
            "kept": torch.tensor([float(left_out >= self.without_both), float(motion)]),
        }

    @cached_property
    def _learning(self) -> list[list[ClipFile]]:
        return self._scenes("learning")

    @cached_property
    def _measuring(self) -> list[list[ClipFile]]:
        return self._scenes("measuring")

    def _scenes(self, folder: str) -> list[list[ClipFile]]:
        """Return the clips, grouped by performance."""
        paths = sorted((self.clips / folder).glob("*.safetensors"))
        files = [ClipFile(path, self.config.window) for path in paths]
        scenes = [files[start : start + self.cast] for start in range(0, len(files), self.cast)]
        scenes = [scene for scene in scenes if min(clip.frames for clip in scene) >= self.frames]
        if not scenes:
            raise SettingsError(
                f"{self.clips / folder} holds no prepared clip of {self.frames} frames or more; give longer clips, or "
                "fewer frames an example"
            )
        return scenes


class AdapterObjective(DenoiserObjective):
    """Fine-tuning of the identity adapters, the projector, the refiner and the added keys and values; all other
    parameters are frozen."""

    def learns(self, name: str) -> bool:
        """Whether the parameter of that name is trained."""
        return name.startswith(("image_proj.", "motion_proj.")) or ".adapter." in name or "_ip.0." in name


def enable_checkpointing(denoiser: Denoiser) -> None:
    """Enable gradient checkpointing in every block of the denoiser."""
    for stage in _stages(denoiser):
        for part in stage.children():
            for module in cast("nn.ModuleList", part):
                # A forward of the module's own: the parameters keep their names.
                module.forward = partial(checkpoint, module.forward, use_reentrant=False)


@torch.no_grad()
def _bypass_temporal_layers(denoiser: Denoiser) -> None:
    """Bypass the temporal layers, and zero their output where they are not bypassed."""
    for module in denoiser.modules():
        if isinstance(module, ResBlock):
            module.forward = module.spatial_res_block.forward  # type: ignore[method-assign]
            ends: list[nn.Module] = [module.temporal_res_block.conv2]
        elif isinstance(module, Transformer):
            module.forward = module.pictures  # type: ignore[method-assign]
            block = module.temporal
            ends = [module.time_pos_embed.linear_2, block.ff_in.net[2], block.attn1.to_out[0]]
            ends += [block.attn2.to_out[0], block.ff.net[2]]
        else:
            continue
        for end in ends:
            for value in end.parameters():
                value.zero_()


def _stages(denoiser: Denoiser) -> Iterator[nn.Module]:
    yield from denoiser.down_blocks
    yield denoiser.mid_block
    yield from denoiser.up_blocks
