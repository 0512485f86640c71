"""One render of random weights, in a process of its own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bench.support.machine import synchronise
from bench.support.random_inputs import random_motion, random_portrait
from models.animator import load
from troupe import SamplerSettings
from troupe.faces import Picture

__all__ = ["Render", "psnr", "render", "render_time"]


@dataclass(frozen=True)
class Render:
    """A rendered clip.

    Attributes:
        frames: (N, S, S, 3) uint8.
        seconds: from the encoded portrait to the last frame, after a warm-up of one step.
        peak: peak GPU memory that torch allocated, in bytes; None on a CPU.
    """

    frames: Picture
    seconds: float
    peak: int | None


def render(
    directory: Path,
    device: str,
    dtype: str,
    frames: int,
    settings: SamplerSettings,
    gpu_memory: float | None = None,
) -> Render:
    """Render a random clip; the noise is the same for all number types and devices.

    float32 means float32: products in TF32 are disabled.

    Args:
        gpu_memory: GiB of the GPU that the model may use; None for all.
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    animator = load(directory, device, dtype, gpu_memory=gpu_memory)
    appearance = animator.encode_appearance(random_portrait(animator.config))
    motion = random_motion(frames, animator.config)
    warm_up = SamplerSettings(steps=1, padding=settings.padding, overlap=settings.overlap)
    for _ in animator.animate(appearance, motion, warm_up):
        pass
    synchronise(animator.device)
    started = time.perf_counter()
    pictures = np.stack(list(animator.animate(appearance, motion, settings)))
    synchronise(animator.device)
    return Render(pictures, time.perf_counter() - started, animator.peak_gpu_bytes)


def render_time(directory: Path, device: str, dtype: str, frames: int, settings: SamplerSettings) -> float:
    """Return the seconds of `render`, without sending its frames back."""
    return render(directory, device, dtype, frames, settings).seconds


def psnr(first: Picture, second: Picture) -> float:
    """Return the peak signal-to-noise ratio of two clips in dB; infinite if they are equal."""
    error = float(np.mean((first.astype(np.float64) - second) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))
