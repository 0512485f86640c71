"""Stages of the UNet: down, middle and up.

Written here because their counterparts in diffusers project the contexts in every call; here keys and values are
projected once for all steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.denoiser.conditioning import LayerContext
from models.denoiser.resnet import Downsample, ResBlock, Upsample
from models.denoiser.transformer import Transformer

__all__ = ["DownStage", "MiddleStage", "UpStage"]

Contexts = Sequence[Sequence[LayerContext]]
"""For each transformer of a stage, its contexts."""


class DownStage(nn.Module):
    """ResBlocks, each followed by its Transformer if the stage has them, then half the size unless it is the last.

    Args:
        resnets: residual blocks, usually two.
        attentions: one transformer per residual block, or none.
        downsample: None for the last stage.
    """

    def __init__(
        self, resnets: Sequence[ResBlock], attentions: Sequence[Transformer], downsample: Downsample | None
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(resnets)
        self.attentions = nn.ModuleList(attentions)
        self.downsamplers = nn.ModuleList([downsample] if downsample is not None else [])

    def forward(self, x: Tensor, activated: Tensor, frames: int, contexts: Contexts) -> list[Tensor]:
        """(B * F, C, h, w) -> the feature maps after every part, the last of which is the stage's output."""
        maps = []
        for i, resnet in enumerate(self.resnets):
            x = resnet(x, activated, frames)
            if self.attentions:
                x = self.attentions[i](x, frames, contexts[i])
            maps.append(x)
        for downsample in self.downsamplers:
            maps.append(downsample(x))
        return maps


class MiddleStage(nn.Module):
    """A Transformer between two ResBlocks."""

    def __init__(self, first: ResBlock, attention: Transformer, last: ResBlock) -> None:
        super().__init__()
        self.resnets = nn.ModuleList([first, last])
        self.attentions = nn.ModuleList([attention])

    def forward(self, x: Tensor, activated: Tensor, frames: int, contexts: Contexts) -> Tensor:
        """(B * F, C, h, w) -> the same shape."""
        x = self.resnets[0](x, activated, frames)
        x = self.attentions[0](x, frames, contexts[0])
        out: Tensor = self.resnets[1](x, activated, frames)
        return out


class UpStage(nn.Module):
    """ResBlocks, each with one skip connection, then upsampling to the size of the stage above.

    Args:
        resnets: residual blocks, one more than on the way down.
        attentions: one transformer per residual block, or none.
        upsample: None for the last stage.
    """

    def __init__(
        self, resnets: Sequence[ResBlock], attentions: Sequence[Transformer], upsample: Upsample | None
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(resnets)
        self.attentions = nn.ModuleList(attentions)
        self.upsamplers = nn.ModuleList([upsample] if upsample is not None else [])

    def forward(self, x: Tensor, maps: list[Tensor], activated: Tensor, frames: int, contexts: Contexts) -> Tensor:
        """(B * F, C, h, w) -> (B * F, C', h, w); removes the skip connections used from the end of `maps`."""
        for i, resnet in enumerate(self.resnets):
            x = resnet(torch.cat((x, maps.pop()), 1), activated, frames)
            if self.attentions:
                x = self.attentions[i](x, frames, contexts[i])
        return x

    def enlarge(self, x: Tensor, size: torch.Size) -> Tensor:
        """Upsample the stage's output to the height and width of the stage above."""
        for upsample in self.upsamplers:
            x = upsample(x, size)
        return x
