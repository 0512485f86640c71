"""The denoiser: Stable Video Diffusion's spatio-temporal UNet with appearance and motion contexts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, repeat
from typing import cast

import torch
import torch.nn.functional as F
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from torch import Tensor, nn

from models.config import UNetConfig
from models.denoiser.conditioning import Context, LayerContext, MotionContext
from models.denoiser.norm import GroupNorm
from models.denoiser.resnet import Downsample, ResBlock, Upsample
from models.denoiser.transformer import Transformer
from models.denoiser.unet_blocks import DownStage, MiddleStage, UpStage
from troupe.errors import WeightsError

__all__ = ["Denoiser"]


class Denoiser(nn.Module):
    """Predicts v for windows of frames (Blattmann et al. 2023, with the two contexts of Xu et al. 2025).

    The conditions enter as contexts that are projected outside of the sampler's steps. One that is all zeros adds
    exactly nothing, as no projection has a bias, and is simply not passed.

    Args:
        config: sizes. Every stage except the innermost has transformers.

    Raises:
        WeightsError: `num_attention_heads` does not fit `block_out_channels`.

    Example:
        >>> with torch.device("meta"):
        ...     denoiser = Denoiser(UNetConfig())
        >>> denoiser.load_state_dict(state, assign=True)
        >>> appearance = denoiser.project_appearance(appearance_tokens)
        >>> motion = denoiser.project_motion(motion_tokens, budget=2**30)
        >>> v = denoiser(sample, timestep, time_ids, pose, (appearance, motion.of(windows)))
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        widths, heads = config.block_out_channels, config.num_attention_heads
        if len(widths) != len(heads) or any(h == 0 or w % h or w % 32 for w, h in zip(widths, heads, strict=True)):
            raise WeightsError(
                f"unet/config.json: num_attention_heads {heads} do not divide block_out_channels {widths}, "
                "which must be multiples of 32"
            )
        embedding, last = 4 * widths[0], len(widths) - 1

        def resnets(channels: Sequence[int], level: int, eps: float) -> list[ResBlock]:
            return [ResBlock(c, widths[level], embedding, eps) for c in channels]

        def transformers(count: int, level: int) -> list[Transformer]:
            return [Transformer(widths[level], heads[level], config.cross_attention_dim) for _ in range(count)]

        self.conv_in = nn.Conv2d(config.in_channels, widths[0], 3, padding=1)
        self.time_proj = Timesteps(widths[0], True, 0)
        self.time_embedding = TimestepEmbedding(widths[0], embedding)
        self.add_time_proj = Timesteps(config.addition_time_embed_dim, True, 0)
        self.add_embedding = TimestepEmbedding(config.projection_class_embeddings_input_dim, embedding)

        self.down_blocks = nn.ModuleList()
        skipped = [widths[0]]  # channels of the skip connections, consumed in reverse
        for level, width in enumerate(widths):
            channels = [skipped[-1], *[width] * (config.layers_per_block - 1)]
            attentions = transformers(len(channels), level) if level < last else []
            downsample = Downsample(width) if level < last else None
            stage = resnets(channels, level, 1e-6 if level < last else 1e-5)
            self.down_blocks.append(DownStage(stage, attentions, downsample))
            skipped += [width] * (len(channels) + (level < last))

        first, second = resnets([widths[-1]] * 2, last, 1e-5)
        self.mid_block = MiddleStage(first, transformers(1, last)[0], second)

        self.up_blocks = nn.ModuleList()
        below = widths[-1]
        for level, width in reversed(list(enumerate(widths))):
            channels = [c + skipped.pop() for c in (below, *[width] * config.layers_per_block)]
            attentions = transformers(len(channels), level) if level < last else []
            upsample = Upsample(width) if level > 0 else None
            self.up_blocks.append(UpStage(resnets(channels, level, 1e-6), attentions, upsample))
            below = width

        self.conv_norm_out = GroupNorm(widths[0], eps=1e-5)
        self.conv_out = nn.Conv2d(widths[0], config.out_channels, 3, padding=1)

    @property
    def transformers(self) -> list[Transformer]:
        """All layers with cross-attention to contexts, in the order in which they run."""
        return [module for module in self.modules() if isinstance(module, Transformer)]

    def project_appearance(self, tokens: Tensor) -> Context:
        """Project a portrait's appearance tokens to keys and values, for all its clips.

        Args:
            tokens: (A, D).
        """
        alone = tokens[None].to(self.dtype)
        return Context(tuple(layer.project_appearance(alone, alone) for layer in self.transformers))

    def project_motion(self, tokens: Tensor, budget: int) -> MotionContext:
        """Project a clip's motion tokens to keys and values, for all steps.

        Args:
            tokens: (F, M, D), faded where the clip is padded.
            budget: bytes that keys and values may take; beyond it they are projected again for every window.
        """
        widths = sum(layer.width for layer in self.transformers)
        frame_bytes = 4 * widths * tokens.shape[1] * self.dtype.itemsize  # keys and values, in space and in time
        return MotionContext(self._project_motion, tokens.to(self.dtype), frame_bytes, budget)

    def _project_motion(self, frames: Tensor, windows: Tensor) -> Context:
        return Context(tuple(layer.project_motion(frames, windows) for layer in self.transformers))

    @property
    def dtype(self) -> torch.dtype:
        """Dtype in which the network computes."""
        return self.conv_in.weight.dtype

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        time_ids: Tensor,
        pose: Tensor,
        contexts: Sequence[Context] = (),
        inner: Tensor | None = None,
        on_inner: Callable[[Tensor], None] = lambda _: None,
    ) -> Tensor:
        """Predict v.

        Args:
            sample: (B, F, 8, h, w), scaled noisy latents and the portrait's latents.
            timestep: (B,), or (1,) for all.
            time_ids: (B, 3), or (1, 3) for all: frames per second, motion bucket, noise augmentation.
            pose: the pose guider's feature map, anything that broadcasts to (B, F, C, h, w).
            contexts: none to two contexts of the windows; absent ones count as zeros.
            inner: (B * F, C, h / 2, w / 2), what the inner stages made at another noise level: only the outermost
                stages are evaluated.
            on_inner: called with what the inner stages made, if they are evaluated.

        Returns:
            (B, F, 4, h, w).
        """
        frames = sample.shape[1]
        activated = F.silu(self._embed(timestep, time_ids))
        x = self.conv_in(sample.flatten(0, 1).contiguous(memory_format=torch.channels_last))
        x = (x.view(*sample.shape[:2], *x.shape[1:]) + pose).flatten(0, 1)

        layers: Iterator[tuple[LayerContext, ...]] = (
            zip(*(context.layers for context in contexts), strict=True) if contexts else repeat(())
        )

        def contexts_of(stage: DownStage | MiddleStage | UpStage) -> list[tuple[LayerContext, ...]]:
            return list(islice(layers, len(stage.attentions)))

        first, *downs = cast("Iterable[DownStage]", self.down_blocks)
        *ups, last = cast("Iterable[UpStage]", self.up_blocks)
        middle: MiddleStage = self.mid_block
        maps = [x, *first(x, activated, frames, contexts_of(first))]
        outer = maps[: len(last.resnets)]
        if inner is None:
            for down in downs:
                maps += down(maps[-1], activated, frames, contexts_of(down))
            inner = middle(maps[-1], activated, frames, contexts_of(middle))
            for below, up in zip([None, *ups], ups, strict=False):
                if below is not None:
                    inner = below.enlarge(inner, maps[-1].shape[-2:])
                inner = up(inner, maps, activated, frames, contexts_of(up))
            on_inner(inner)
        else:
            left_out: tuple[DownStage | MiddleStage | UpStage, ...] = (*downs, middle, *ups)
            for stage in left_out:
                contexts_of(stage)
        x = ups[-1].enlarge(inner, outer[-1].shape[-2:])
        x = last(x, outer, activated, frames, contexts_of(last))
        out: Tensor = self.conv_out(F.silu(self.conv_norm_out(x)))
        return out.reshape(*sample.shape[:2], *out.shape[1:])

    def _embed(self, timestep: Tensor, time_ids: Tensor) -> Tensor:
        """Embed the timestep and the time ids, (1 or B, E)."""
        time = self.time_embedding(self.time_proj(timestep).to(self.dtype))
        numbers = self.add_time_proj(time_ids.flatten()).reshape(len(time_ids), -1)
        out: Tensor = time + self.add_embedding(numbers.to(self.dtype))
        return out
