"""Values with which an autoencoder begins: means of colours down, repeated pixels up.

Random values of so deep a network take thousands of steps to tell a picture's colours, as its norms take away every
group's mean and deviation. Here every block hands on what it gets, and before the two norms that nothing leads around,
each group of three channels holds one value and two known ones, from which the value can be read again: with c and -c
beside it, a group's mean is a third of the value's, and its deviation is nearly the same for every picture.
"""

from __future__ import annotations

from typing import cast

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import AutoencoderKLTemporalDecoder
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D, TemporalResnetBlock
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

__all__ = ["init_mean_colours"]

GROUP = 3
KNOWN = 3.0
"""The known values beside each value, from -1 to 1: larger ones keep the deviation steadier, smaller ones are more
precise in 16 bits."""
DEVIATION = KNOWN * (2 / 3) ** 0.5
COLOURS = 3
SURE = -7.0
"""Logarithm of the variance of what a latent says."""


@torch.no_grad()
def init_mean_colours(vae: AutoencoderKLTemporalDecoder) -> None:
    """Set its values so that it tells every cell's mean colour, in [-1, 1], in three of its latent channels.

    Raises:
        ValueError: its first or last stage has no three channels a group.
    """
    ends = vae.config["block_out_channels"][0], vae.config["block_out_channels"][-1]
    if any(width != GROUP * 32 for width in ends):
        raise ValueError(f"the first and the last stage need {GROUP * 32} channels; they have {ends}")
    for module in vae.modules():
        if isinstance(module, ResnetBlock2D | TemporalResnetBlock):
            _clear(module.conv2)
            if module.conv_shortcut is not None:
                _clear(module.conv_shortcut)
                nn.init.dirac_(cast("nn.Conv2d", module.conv_shortcut).weight)
        elif isinstance(module, Upsample2D):
            _clear(module.conv)
            nn.init.dirac_(cast("nn.Conv2d", module.conv).weight)
        elif isinstance(module, Downsample2D):
            weight = _clear(module.conv)
            weight[:, :, :2, :2] = torch.eye(len(weight))[..., None, None] / 4
        elif isinstance(module, Attention):
            _clear(module.to_out[0])
    for part in (vae.encoder, vae.decoder):
        _both_signs(part.conv_in)
    _among_known(next(s for s in _shortcuts(vae.encoder) if len(s.weight) == ends[1]))
    _among_known(list(_shortcuts(vae.decoder))[-1])
    _read(vae.encoder.conv_out)
    _read(vae.decoder.conv_out)
    _clear(vae.quant_conv)
    latent = len(vae.quant_conv.weight) // 2
    vae.quant_conv.weight[range(latent), range(latent)] = 1
    cast("Tensor", vae.quant_conv.bias)[latent:] = SURE
    _clear(vae.decoder.time_conv_out)
    nn.init.dirac_(vae.decoder.time_conv_out.weight)


def _clear(module: object) -> Tensor:
    layer = cast("nn.Conv2d", module)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(cast("Tensor", layer.bias))
    return layer.weight


def _shortcuts(part: nn.Module) -> list[nn.Conv2d]:
    return [
        module.conv_shortcut
        for module in part.modules()
        if isinstance(module, ResnetBlock2D) and module.conv_shortcut is not None
    ]


def _both_signs(conv: nn.Conv2d) -> None:
    """The first channels that come out are the first that go in, each as it is and negated."""
    for colour in range(COLOURS):
        for channel, sign in ((2 * colour, 1.0), (2 * colour + 1, -1.0)):
            conv.weight[channel] = 0
            conv.weight[channel, colour, 1, 1] = sign
            cast("Tensor", conv.bias)[channel] = 0


def _among_known(shortcut: nn.Conv2d) -> None:
    """Every third channel that comes out is one that went in; beside it are the known values."""
    weight, bias = _clear(shortcut), cast("Tensor", shortcut.bias)
    groups = torch.arange(len(weight) // GROUP)
    weight[GROUP * groups, groups] = 1
    bias[1::GROUP], bias[2::GROUP] = KNOWN, -KNOWN


def _read(conv: nn.Conv2d) -> None:
    """The values again, from norm and silu: silu(x) - silu(-x) is x."""
    weight, bias = conv.weight, cast("Tensor", conv.bias)
    weight[:COLOURS], bias[:COLOURS] = 0, -KNOWN
    for colour in range(COLOURS):
        plus, minus = GROUP * 2 * colour, GROUP * (2 * colour + 1)
        for channel, sign in ((plus, 1), (minus, -1), (minus + 1, 1), (plus + 2, -1)):
            weight[colour, channel, 1, 1] = sign * DEVIATION
