"""Evaluations of the denoiser and floating-point operations of a clip, counted without computing it.

A multiply-add counts as two operations. Products with weights and convolutions are what torch's counter supports on a
CPU and what the project's targets are stated in; the products inside attention, a fifteenth as much at full size, are
counted separately.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from models.autoencoder import autoencoder_for, decode
from models.config import ModelConfig
from models.denoiser import Context, Denoiser
from models.sampler import evaluations
from models.sampler.guidance import Branch
from models.sampler.steps import plan_steps
from troupe.sampler_settings import SamplerSettings

__all__ = ["ClipCost", "FrameCost", "Operations", "count_clip_cost", "count_frame_cost"]

ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


@dataclass(frozen=True)
class Operations:
    """Floating-point operations.

    Attributes:
        products: operations of products with weights and of convolutions.
        attention: operations inside attention.
    """

    products: float
    attention: float

    @property
    def total(self) -> float:
        """Sum of both."""
        return self.products + self.attention

    def __mul__(self, times: float) -> Operations:
        return Operations(self.products * times, self.attention * times)

    def __add__(self, other: Operations) -> Operations:
        return Operations(self.products + other.products, self.attention + other.attention)


@dataclass(frozen=True)
class FrameCost:
    """Operations per frame.

    Attributes:
        branches: one evaluation of the denoiser, by guidance branch.
        outer: one evaluation of the denoiser's outermost stages only, by guidance branch.
        motion: projecting the motion to keys and values.
        decode: decoding the latents to pixels.
    """

    branches: Mapping[Branch, Operations]
    outer: Mapping[Branch, Operations]
    motion: Operations
    decode: Operations

    @property
    def guided(self) -> float:
        """Products per evaluation, averaged over the two branches of equal guidance."""
        return (self.branches[Branch.UNCOND].products + self.branches[Branch.FULL].products) / 2


@dataclass(frozen=True)
class ClipCost:
    """Operations per clip.

    Attributes:
        frames: number of frames of the clip.
        step_frames: frames per step, padding and overlap included.
        evaluations: frames that pass through the denoiser, once per branch and step.
        least_evaluations: the same without padding and overlap.
        denoise: operations of the evaluations, and of projecting the motion once.
        decode: operations of the decoder.
        least: products of a sampler without overlap and padding that projects the motion for every evaluation; the
            project's limit of 60.5e12 operations per frame at full size is stated in these.
    """

    frames: int
    step_frames: int
    evaluations: int
    least_evaluations: int
    denoise: Operations
    decode: Operations
    least: float


def count_frame_cost(config: ModelConfig, chunk: int) -> FrameCost:
    """Count operations per frame, on fake tensors.

    Args:
        chunk: frames decoded together.
    """
    tokens, width = config.refiner.latents, config.unet.cross_attention_dim
    side, window = config.latent_size, config.window
    with FakeTensorMode():
        denoiser = Denoiser(config.unet).requires_grad_(False)
        vae = autoencoder_for(config.vae).requires_grad_(False)
        appearance = denoiser.project_appearance(torch.empty(config.appearance.tokens, width))
        motion = denoiser.project_motion(torch.empty(window, tokens, width), 2**62)
        conditioning: dict[Branch, tuple[Context, ...]] = {
            Branch.UNCOND: (),
            Branch.APPEARANCE: (appearance,),
            Branch.FULL: (appearance, motion.of(torch.arange(window)[None])),
        }

        def evaluate(branch: Branch, inner: torch.Tensor | None = None) -> torch.Tensor:
            sample = torch.empty(1, window, config.unet.in_channels, side, side)
            pose = torch.empty(config.unet.block_out_channels[0], side, side)
            made = [] if inner is None else [inner]
            contexts = conditioning[branch]
            denoiser(sample, torch.empty(1), torch.empty(1, 3), pose, contexts, inner, made.append)
            return made[0]

        def project() -> None:
            denoiser.project_motion(torch.empty(window, tokens, width), 2**62)

        def decode_chunk() -> None:
            decode(vae, torch.empty(chunk, config.vae.latent_channels, side, side))

        inner = evaluate(Branch.FULL)
        return FrameCost(
            branches={branch: _count(partial(evaluate, branch)) * (1 / window) for branch in Branch},
            outer={branch: _count(partial(evaluate, branch, inner)) * (1 / window) for branch in Branch},
            motion=_count(project) * (1 / window),
            decode=_count(decode_chunk) * (1 / chunk),
        )


def count_clip_cost(frames: int, config: ModelConfig, settings: SamplerSettings, frame_cost: FrameCost) -> ClipCost:
    """Count the operations of a clip.

    Args:
        frames: number of frames of the clip.
        frame_cost: `count_frame_cost` of the same model and decode chunk.
    """
    padded = frames + 2 * settings.padding
    steps = plan_steps(config.scheduler, settings)
    every = [(branch, deep) for step in steps for branch, deep in step.evaluated.items()]
    evaluated = evaluations(padded, config, settings)
    step_frames = evaluated // len(every)
    denoise = frame_cost.motion * padded
    for branch, deep in every:
        denoise += (frame_cost.branches if deep else frame_cost.outer)[branch] * step_frames
    least = len(every) * (frame_cost.branches[Branch.FULL] + frame_cost.motion).products + frame_cost.decode.products
    return ClipCost(
        frames=frames,
        step_frames=step_frames,
        evaluations=evaluated,
        least_evaluations=frames * len(every),
        denoise=denoise,
        decode=frame_cost.decode * _decoded_frames(padded, settings),
        least=least * frames,
    )


def _decoded_frames(padded: int, settings: SamplerSettings) -> int:
    """Count the decoded frames: whole chunks from the first padding frame on, except chunks of padding only."""
    first, last = settings.padding, padded - settings.padding
    starts = range(first // settings.decode_chunk * settings.decode_chunk, last, settings.decode_chunk)
    return sum(min(settings.decode_chunk, padded - start) for start in starts)


def _count(computation: Callable[[], Any]) -> Operations:
    with FlopCounterMode(display=False, custom_mapping={ATTENTION: _attention}) as counter:
        computation()
    counts = counter.get_flop_counts()["Global"]
    attention = counts.pop(ATTENTION, 0)
    return Operations(sum(counts.values()), attention)


def _attention(query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any) -> int:
    operations: int = sdpa_flop_count(query, key, value)  # type: ignore[no-untyped-call]
    return operations
