"""Sampler: denoises a clip's latents step by step, in overlapping windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from models.config import ModelConfig
from models.denoiser import Context, Denoiser, MotionContext
from models.sampler.guidance import Branch
from models.sampler.saved import Saved
from models.sampler.schedule import euler_step, scale_model_input
from models.sampler.steps import Step, plan_steps
from models.sampler.windows import check_overlap, frame_counts, windows
from troupe.sampler_settings import SamplerSettings

__all__ = ["Sampled", "Scene", "draw_noise", "evaluations", "fitting_windows", "pad_motion", "sample", "window_bytes"]

Progress = Callable[[int, int], None]
"""Called with (evaluations done, total evaluations) after every denoiser call; may raise to stop the sampler."""

PEAK_ACTIVATIONS = 24
"""Peak number of live values per frame, latent pixel and channel of the first stage: 18 and some headroom."""

MAX_ATTENTION_BATCH = 65535
"""Largest batch of sequences for one launch of fused attention on a GPU; along time every pixel is a sequence."""


@dataclass(frozen=True)
class Scene:
    """Everything that determines a clip's latents, apart from noise and settings.

    Attributes:
        appearance: context of the portrait; the same for all its clips.
        motion: context of the clip's F frames, padding included.
        portrait: (4, h, w) float32, the portrait's unscaled latents.
        pose: (C, h, w), the pose guider's feature map of a black picture.
    """

    appearance: Context
    motion: MotionContext
    portrait: Tensor
    pose: Tensor


@dataclass(frozen=True)
class Sampled:
    """Result of the sampler.

    Attributes:
        latents: (F, 4, h, w) float32, scaled as the denoiser sees them, padding included.
        evaluations: number of frames that went through the denoiser, counted once per branch and step.
    """

    latents: Tensor
    evaluations: int


def pad_motion(tokens: Tensor, padding: int) -> Tensor:
    """Fade the motion in before the clip and out after it.

    Args:
        tokens: (F, M, D).
        padding: number of frames on each side.

    Returns:
        (padding + F + padding, M, D): the first frame's tokens times 0, 1/padding, ... before, the last frame's
        times 1, 1 - 1/padding, ... after.
    """
    if padding == 0:
        return tokens
    rise = torch.arange(padding, dtype=tokens.dtype, device=tokens.device)[:, None, None] / padding
    return torch.cat((tokens[:1] * rise, tokens, tokens[-1:] * (1 - rise)))


def draw_noise(seed: int, frames: int, config: ModelConfig) -> Tensor:
    """Draw noise, (F, 4, h, w) float32 of unit variance, on the CPU: the same on every machine.

    Args:
        frames: number of frames F, padding included.
    """
    shape = (frames, config.vae.latent_channels, config.latent_size, config.latent_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def evaluations(frames: int, config: ModelConfig, settings: SamplerSettings) -> int:
    """Return how many frames will go through the denoiser for a clip of `frames`, padding included.

    Raises:
        SettingsError: the overlap does not fit the window.
    """
    check_overlap(config.window, settings.overlap)
    seen = windows(frames, config.window, settings.overlap, 0).numel()
    return sum(seen * len(step.evaluated) for step in plan_steps(config.scheduler, settings))


def window_bytes(config: ModelConfig, dtype: torch.dtype) -> int:
    """Return the peak memory of one window's activations, in bytes.

    Args:
        dtype: dtype in which the denoiser computes.
    """
    return config.window * PEAK_ACTIVATIONS * config.unet.block_out_channels[0] * config.latent_size**2 * dtype.itemsize


def fitting_windows(config: ModelConfig, dtype: torch.dtype, budget: int = 2**28) -> int:
    """Return the number of windows to denoise in one call: as many as fit, at least 1.

    Args:
        dtype: dtype in which the denoiser computes.
        budget: bytes available for its activations.
    """
    return max(1, min(budget // window_bytes(config, dtype), MAX_ATTENTION_BATCH // config.latent_size**2))


@torch.inference_mode()
def sample(
    denoiser: Denoiser,
    scene: Scene,
    noise: Tensor,
    settings: SamplerSettings,
    config: ModelConfig,
    windows_per_call: int = 1,
    on_progress: Progress | None = None,
    on_step: Callable[[int, Tensor], None] = lambda *_: None,
) -> Sampled:
    """Denoise a clip.

    Every step covers the clip with overlapping windows, takes each of them one noise level down separately and
    averages every frame over its windows; the windows move from step to step. Latents are float32
    throughout, the denoiser computes in its own type.

    Args:
        denoiser: network on the device of all tensors in `scene`.
        scene: conditioning of F frames.
        noise: (F, 4, h, w), unit variance.
        settings: sampler settings.
        config: model configuration: its window, the ends of the noise schedule and the scale of latents.
        windows_per_call: number of windows per denoiser call; affects only speed, memory and rounding.
        on_progress: called after every denoiser call.
        on_step: called before every step with its number and the latents (F, 4, h, w).

    Raises:
        SettingsError: the overlap does not fit the model's window.
        ValueError: noise and motion have different lengths.
    """
    frames = len(noise)
    if frames != len(scene.motion):
        raise ValueError(f"noise has {frames} frames but motion has {len(scene.motion)}; both must include the padding")
    done, total = 0, evaluations(frames, config, settings)
    device = scene.portrait.device
    time_ids = torch.tensor([[settings.fps, 0.0, 0.0]], device=device)
    steps = plan_steps(config.scheduler, settings)
    saved = Saved(settings)

    latents = config.vae.scaling_factor * scene.portrait + steps[0].sigma * noise.to(device)
    for number, step in enumerate(steps):
        on_step(number, latents)
        timestep = torch.full((1,), step.timestep, device=device)
        shift = number * settings.shift % config.window
        indices = windows(frames, config.window, settings.overlap, shift).to(device)
        counts = frame_counts(indices, frames)[:, None, None, None]
        summed = torch.zeros_like(latents)
        # Batches of even size: a smaller last one would be compiled separately.
        for batch in indices.tensor_split(-(-len(indices) // windows_per_call)):
            noisy = latents[batch]
            scaled = scale_model_input(noisy, step.sigma)
            v = _guided_prediction(denoiser, scene, batch, scaled, timestep, time_ids, step, saved)
            stepped = euler_step(noisy, v, step.sigma, step.next_sigma)
            summed.index_add_(0, batch.flatten(), stepped.flatten(0, 1))
            done += batch.numel() * len(step.evaluated)
            if on_progress is not None:
                on_progress(done, total)
        latents = summed / counts
        saved.close(counts)
    return Sampled(latents, done)


def _guided_prediction(
    denoiser: Denoiser,
    scene: Scene,
    indices: Tensor,
    noisy: Tensor,
    timestep: Tensor,
    time_ids: Tensor,
    step: Step,
    saved: Saved,
) -> Tensor:
    """Return the guided prediction, (B, W, 4, h, w) float32, for scaled noisy latents of windows (B, W).

    Args:
        step: which branches are evaluated, and how.
        saved: what earlier steps evaluated.
    """
    contexts: dict[Branch, tuple[Context, ...]] = {
        Branch.UNCOND: (),
        Branch.APPEARANCE: (scene.appearance,),
        Branch.FULL: (scene.appearance, scene.motion.of(indices)),
    }
    predictions: dict[Branch, Tensor] = {}
    frames = len(scene.motion)
    for branch, deep in step.evaluated.items():
        portrait = torch.zeros_like(scene.portrait) if branch is Branch.UNCOND else scene.portrait
        model_input = torch.cat((noisy, portrait.expand_as(noisy)), 2).to(denoiser.dtype)
        v: Tensor = denoiser(
            model_input,
            timestep,
            time_ids,
            scene.pose,
            contexts[branch],
            inner=None if deep else saved.inner(branch, indices),
            on_inner=partial(saved.keep_inner, branch, indices, frames),
        )
        predictions[branch] = v.float()
    if saved.reuses_guidance and (full := predictions.get(Branch.FULL)) is not None:
        for branch in predictions.keys() - {Branch.FULL}:
            saved.keep_difference(branch, indices, frames, predictions[branch] - full)
        for branch in step.factors.keys() - predictions.keys():
            predictions[branch] = full + saved.difference(branch, indices)
    terms = [factor * predictions[branch] for branch, factor in step.factors.items()]
    return sum(terms[1:], terms[0])
