"""From noise to latents: prepare, then denoise window by window, step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from models.config import ModelConfig
from models.denoiser import Context, Denoiser, MotionContext
from models.sampler.guidance import Branch, branches, guide, strengths
from models.sampler.schedule import karras, network_input, step
from models.sampler.windows import check_overlap, occurrences, windows
from troupe.sampler_settings import SamplerSettings

__all__ = ["Sampled", "Scene", "draw_noise", "evaluations", "fitting_windows", "pad_motion", "sample", "window_bytes"]

Progress = Callable[[int, int], None]
"""Told (evaluations done, evaluations in all) after every call of the denoiser; stops the sampler by raising."""

FRAME_ACTIVATIONS = 24
"""Values alive at the peak of a call, a frame, latent pixel and channel of the first stage: 18 and some room."""

MOST_SEQUENCES = 65535
"""Sequences that one launch of fused attention takes on a GPU; along time every pixel is one."""


@dataclass(frozen=True)
class Scene:
    """Everything that a clip's latents follow from, beside noise and settings.

    Attributes:
        appearance: of the identity; the same for all its clips.
        motion: of the clip's F frames, padding among them.
        portrait: (4, h, w) float32, the portrait's unscaled latents.
        pose: (C, h, w), the pose guider's feature of a black picture.
    """

    appearance: Context
    motion: MotionContext
    portrait: Tensor
    pose: Tensor


@dataclass(frozen=True)
class Sampled:
    """What the sampler made.

    Attributes:
        latents: (F, 4, h, w) float32, scaled as the denoiser sees them, padding among them.
        evaluations: frames that went through the denoiser, once a branch and step.
    """

    latents: Tensor
    evaluations: int


def pad_motion(tokens: Tensor, padding: int) -> Tensor:
    """Fade the motion in before the clip and out after it.

    Args:
        tokens: (F, M, D).
        padding: frames on each side.

    Returns:
        (padding + F + padding, M, D): the first frame's tokens times 0, 1/padding, ... before, the last frame's
        times 1, 1 - 1/padding, ... after.
    """
    if padding == 0:
        return tokens
    rise = torch.arange(padding, dtype=tokens.dtype, device=tokens.device)[:, None, None] / padding
    return torch.cat((tokens[:1] * rise, tokens, tokens[-1:] * (1 - rise)))


def draw_noise(seed: int, frames: int, config: ModelConfig) -> Tensor:
    """(F, 4, h, w) float32 of unit variance, drawn on the CPU: the same on every machine.

    Args:
        frames: F, padding among them.
    """
    shape = (frames, config.vae.latent_channels, config.latent_size, config.latent_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def evaluations(frames: int, window: int, settings: SamplerSettings) -> int:
    """Frames that will go through the denoiser for a clip of `frames`, padding among them.

    Raises:
        SettingsError: the overlap does not fit the window.
    """
    check_overlap(window, settings.overlap)
    seen = windows(frames, window, settings.overlap, 0).numel()
    return sum(seen * len(branches(*strength)) for strength in strengths(settings))


def window_bytes(config: ModelConfig, dtype: torch.dtype) -> int:
    """Memory that the activations of one window take at their peak.

    Args:
        dtype: in which the denoiser computes.
    """
    return (
        config.window * FRAME_ACTIVATIONS * config.unet.block_out_channels[0] * config.latent_size**2 * dtype.itemsize
    )


def fitting_windows(config: ModelConfig, dtype: torch.dtype, budget: int = 2**28) -> int:
    """Windows to denoise in one call: as many as fit, at least 1.

    Args:
        dtype: in which the denoiser computes.
        budget: bytes that its activations may take.
    """
    return max(1, min(budget // window_bytes(config, dtype), MOST_SEQUENCES // config.latent_size**2))


@torch.inference_mode()
def sample(
    denoiser: Denoiser,
    scene: Scene,
    noise: Tensor,
    settings: SamplerSettings,
    config: ModelConfig,
    windows_per_call: int = 1,
    on_progress: Progress | None = None,
) -> Sampled:
    """Denoise a clip.

    Every step covers the clip with overlapping windows, takes each of them one noise level down on its own and gives
    every frame the mean of what its windows made of it; from step to step the windows move. Latents are float32
    throughout, the denoiser computes in its own type.

    Args:
        denoiser: on the device of all of `scene`.
        scene: what to show, F frames.
        noise: (F, 4, h, w) of unit variance.
        settings: how to go about it.
        config: of the model: its window, the ends of the schedule and the scale of latents.
        windows_per_call: how many go through the denoiser together; changes nothing but speed, memory and rounding.
        on_progress: called after every call of the denoiser.

    Raises:
        SettingsError: the overlap does not fit the model's window.
        ValueError: noise and motion are of different lengths.
    """
    frames = len(noise)
    if frames != len(scene.motion):
        raise ValueError(f"noise is for {frames} frames, motion for {len(scene.motion)}; padding counts in both")
    done, total = 0, evaluations(frames, config.window, settings)
    device = scene.portrait.device
    schedule = karras(config.scheduler, settings.steps)
    sigmas, timesteps = schedule.sigmas.tolist(), schedule.timesteps.to(device)
    time_ids = torch.tensor([[settings.fps, 0.0, 0.0]], device=device)

    latents = config.vae.scaling_factor * scene.portrait + sigmas[0] * noise.to(device)
    for number, strength in enumerate(strengths(settings)):
        sigma, following, timestep = sigmas[number], sigmas[number + 1], timesteps[number : number + 1]
        shift = number * settings.shift % config.window
        indices = windows(frames, config.window, settings.overlap, shift).to(device)
        summed = torch.zeros_like(latents)
        # Even calls: a small last one would cost a shape of its own where blocks are compiled.
        for together in indices.tensor_split(-(-len(indices) // windows_per_call)):
            noisy = latents[together]
            predict = _predictor(denoiser, scene, together, network_input(noisy, sigma), timestep, time_ids)
            stepped = step(noisy, guide(predict, *strength), sigma, following)
            summed.index_add_(0, together.flatten(), stepped.flatten(0, 1))
            done += together.numel() * len(branches(*strength))
            if on_progress is not None:
                on_progress(done, total)
        latents = summed / occurrences(indices, frames)[:, None, None, None]
    return Sampled(latents, done)


def _predictor(
    denoiser: Denoiser, scene: Scene, indices: Tensor, noisy: Tensor, timestep: Tensor, time_ids: Tensor
) -> Callable[[Branch], Tensor]:
    """What each branch predicts, (B, W, 4, h, w) float32, for windows (B, W) of noisy latents of that shape."""
    contexts: dict[Branch, tuple[Context, ...]] = {
        Branch.NOTHING: (),
        Branch.APPEARANCE: (scene.appearance,),
        Branch.FULL: (scene.appearance, scene.motion.of(indices)),
    }

    def predict(branch: Branch) -> Tensor:
        portrait = torch.zeros_like(scene.portrait) if branch is Branch.NOTHING else scene.portrait
        known = torch.cat((noisy, portrait.expand_as(noisy)), 2).to(denoiser.dtype)
        v: Tensor = denoiser(known, timestep, time_ids, scene.pose, contexts[branch])
        return v.float()

    return predict
