"""The work behind a clip, counted without doing it: evaluations of the denoiser and floating-point operations.

A multiplication and its addition are two operations. Counted are products with weights and convolutions, which is what
torch's counter knows on a CPU and what the project's targets are told in; the products inside of attention, two
thirds of a tenth as much at full size, are counted apart.
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
from models.sampler.guidance import Branch, branches, strengths
from troupe.sampler_settings import SamplerSettings

__all__ = ["Costs", "Operations", "WorkItem", "count_costs", "count_work"]

ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


@dataclass(frozen=True)
class Operations:
    """Of one piece of work.

    Attributes:
        products: with weights, and convolutions.
        attention: inside of attention.
    """

    products: float
    attention: float

    @property
    def total(self) -> float:
        """Both."""
        return self.products + self.attention

    def __mul__(self, times: float) -> Operations:
        return Operations(self.products * times, self.attention * times)

    def __add__(self, other: Operations) -> Operations:
        return Operations(self.products + other.products, self.attention + other.attention)


@dataclass(frozen=True)
class Costs:
    """What a model needs for one frame.

    Attributes:
        branches: of one evaluation of the denoiser, by what it is told.
        motion: of the keys and values of its motion.
        decode: of its pixels.
    """

    branches: Mapping[Branch, Operations]
    motion: Operations
    decode: Operations

    @property
    def guided(self) -> float:
        """Products of an evaluation, averaged over the two branches that equal guidance needs."""
        return (self.branches[Branch.NOTHING].products + self.branches[Branch.FULL].products) / 2


@dataclass(frozen=True)
class WorkItem:
    """What a clip needs.

    Attributes:
        frames: of the clip.
        step_frames: frames that a step sees, padding and overlap among them.
        evaluations: frames that go through the denoiser, once a branch and step.
        least_evaluations: if no frame were seen twice in a step, and none but the clip's own.
        denoise: operations of the evaluations, and of the motion's keys and values, made once.
        decode: operations of the decoder.
        least: products that even a sampler without overlap and padding needs, motion projected for every evaluation:
            the way in which the project's limit of 60.5e12 operations a frame at full size is told.
    """

    frames: int
    step_frames: int
    evaluations: int
    least_evaluations: int
    denoise: Operations
    decode: Operations
    least: float


def count_costs(config: ModelConfig, chunk: int) -> Costs:
    """Operations a frame, on tensors without memory.

    Args:
        chunk: frames that are decoded together.
    """
    tokens, width = config.refiner.latents, config.unet.cross_attention_dim
    side, window = config.latent_size, config.window
    with FakeTensorMode():
        denoiser = Denoiser(config.unet).requires_grad_(False)
        vae = autoencoder_for(config.vae).requires_grad_(False)
        appearance = denoiser.project_appearance(torch.empty(config.appearance.tokens, width))
        motion = denoiser.project_motion(torch.empty(window, tokens, width), 2**62)
        heard: dict[Branch, tuple[Context, ...]] = {
            Branch.NOTHING: (),
            Branch.APPEARANCE: (appearance,),
            Branch.FULL: (appearance, motion.of(torch.arange(window)[None])),
        }

        def evaluate(branch: Branch) -> None:
            sample = torch.empty(1, window, config.unet.in_channels, side, side)
            pose = torch.empty(config.unet.block_out_channels[0], side, side)
            denoiser(sample, torch.empty(1), torch.empty(1, 3), pose, heard[branch])

        def project() -> None:
            denoiser.project_motion(torch.empty(window, tokens, width), 2**62)

        def decode_chunk() -> None:
            decode(vae, torch.empty(chunk, config.vae.latent_channels, side, side))

        return Costs(
            branches={branch: _count(partial(evaluate, branch)) * (1 / window) for branch in Branch},
            motion=_count(project) * (1 / window),
            decode=_count(decode_chunk) * (1 / chunk),
        )


def count_work(frames: int, config: ModelConfig, settings: SamplerSettings, costs: Costs) -> WorkItem:
    """What a clip of `frames` needs.

    Args:
        costs: of the same model and decode chunk.
    """
    padded = frames + 2 * settings.padding
    every = [branch for strength in strengths(settings) for branch in branches(*strength)]
    evaluated = evaluations(padded, config.window, settings)
    step_frames = evaluated // len(every)
    denoise = costs.motion * padded
    for branch in every:
        denoise += costs.branches[branch] * step_frames
    least = len(every) * (costs.branches[Branch.FULL] + costs.motion).products + costs.decode.products
    return WorkItem(
        frames=frames,
        step_frames=step_frames,
        evaluations=evaluated,
        least_evaluations=frames * len(every),
        denoise=denoise,
        decode=costs.decode * _decoded(padded, settings),
        least=least * frames,
    )


def _decoded(padded: int, settings: SamplerSettings) -> int:
    """Frames that the decoder makes: whole chunks from the first frame of the padding, but none of padding only."""
    first, last = settings.padding, padded - settings.padding
    starts = range(first // settings.decode_chunk * settings.decode_chunk, last, settings.decode_chunk)
    return sum(min(settings.decode_chunk, padded - start) for start in starts)


def _count(work: Callable[[], Any]) -> Operations:
    with FlopCounterMode(display=False, custom_mapping={ATTENTION: _attention}) as counter:
        work()
    counts = counter.get_flop_counts()["Global"]
    attention = counts.pop(ATTENTION, 0)
    return Operations(sum(counts.values()), attention)


def _attention(query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any) -> int:
    operations: int = sdpa_flop_count(query, key, value)  # type: ignore[no-untyped-call]
    return operations
