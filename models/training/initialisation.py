"""Initial weights of an autoencoder that encodes mean colours and decodes them by repeating pixels.

With random weights, so deep a network takes thousands of steps to reproduce a picture's colours, because its norms
remove the mean and the standard deviation of every group. Here every block starts as the identity. Before the two
norms that no shortcut bypasses, each group of three channels holds one value and two constants, c and -c, from which
the value can be recovered: the group's mean is a third of the value, and its standard deviation is nearly constant.
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
CONSTANT = 3.0
"""The constant c beside a value in -1..1: a larger one makes the standard deviation steadier, a smaller one is more
precise in 16 bits."""
DEVIATION = CONSTANT * (2 / 3) ** 0.5
COLOURS = 3
LOG_VARIANCE = -7.0
"""Log variance of the latent distribution."""


@torch.no_grad()
def init_mean_colours(vae: AutoencoderKLTemporalDecoder) -> None:
    """Set weights that encode the mean colour of every cell, in [-1, 1], in the first three latent channels.

    Raises:
        ValueError: the first or the last stage does not have three channels per group.
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
    _with_constants(next(s for s in _shortcuts(vae.encoder) if len(s.weight) == ends[1]))
    _with_constants(list(_shortcuts(vae.decoder))[-1])
    _recover(vae.encoder.conv_out)
    _recover(vae.decoder.conv_out)
    _clear(vae.quant_conv)
    latent = len(vae.quant_conv.weight) // 2
    vae.quant_conv.weight[range(latent), range(latent)] = 1
    cast("Tensor", vae.quant_conv.bias)[latent:] = LOG_VARIANCE
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
    """Output the first input channels, each once as it is and once negated."""
    for colour in range(COLOURS):
        for channel, sign in ((2 * colour, 1.0), (2 * colour + 1, -1.0)):
            conv.weight[channel] = 0
            conv.weight[channel, colour, 1, 1] = sign
            cast("Tensor", conv.bias)[channel] = 0


def _with_constants(shortcut: nn.Conv2d) -> None:
    """Output an input channel as every third channel, followed by the two constants."""
    weight, bias = _clear(shortcut), cast("Tensor", shortcut.bias)
    groups = torch.arange(len(weight) // GROUP)
    weight[GROUP * groups, groups] = 1
    bias[1::GROUP], bias[2::GROUP] = CONSTANT, -CONSTANT


def _recover(conv: nn.Conv2d) -> None:
    """Recover the values after norm and SiLU: silu(x) - silu(-x) is x."""
    weight, bias = conv.weight, cast("Tensor", conv.bias)
    weight[:COLOURS], bias[:COLOURS] = 0, -CONSTANT
    for colour in range(COLOURS):
        plus, minus = GROUP * 2 * colour, GROUP * (2 * colour + 1)
        for channel, sign in ((plus, 1), (minus, -1), (minus + 1, 1), (plus + 2, -1)):
            weight[colour, channel, 1, 1] = sign * DEVIATION
