"""Stable Video Diffusion's autoencoder, with its temporal decoder: building, encoding and decoding.

The network is diffusers' own.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import AutoencoderKLTemporalDecoder
from torch import Tensor, nn

from models.config import VAEConfig

__all__ = ["autoencoder_for", "channels_last", "decode", "decode_stream", "encode_portrait"]

CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
"""Memory format by number of dimensions of a weight."""


def autoencoder_for(config: VAEConfig) -> AutoencoderKLTemporalDecoder:
    """Build the network of these sizes."""
    vae: AutoencoderKLTemporalDecoder = AutoencoderKLTemporalDecoder(
        in_channels=config.in_channels,
        out_channels=config.out_channels,
        down_block_types=("DownEncoderBlock2D",) * len(config.block_out_channels),
        block_out_channels=config.block_out_channels,
        layers_per_block=config.layers_per_block,
        latent_channels=config.latent_channels,
        sample_size=config.sample_size,
        scaling_factor=config.scaling_factor,
        force_upcast=config.force_upcast,
    )
    return vae


def channels_last(network: nn.Module) -> None:
    """Convert a network's convolution weights to channels-last memory, which is fastest."""
    for value in network.parameters():
        if value.ndim in CHANNELS_LAST:
            value.data = value.data.contiguous(memory_format=CHANNELS_LAST[value.ndim])


@torch.inference_mode()
def encode_portrait(vae: AutoencoderKLTemporalDecoder, picture: Tensor) -> Tensor:
    """Encode a picture to the mean of its latents, unscaled.

    Computed in the type of the encoder's weights, which are float32 where the config says `force_upcast`, whatever
    the decoder's are.

    Args:
        picture: (3, H, W) in [-1, 1].

    Returns:
        (4, h, w) float32.
    """
    weight = vae.quant_conv.weight
    mean: Tensor = vae.encode(picture[None].to(weight)).latent_dist.mean
    return mean[0].float()


@torch.inference_mode()
def decode(vae: AutoencoderKLTemporalDecoder, latents: Tensor) -> Tensor:
    """Decode the frames of one chunk together, in the type of the decoder's weights.

    Args:
        latents: (F, 4, h, w), scaled as the denoiser sees them.

    Returns:
        (F, 3, H, W) float32, about [-1, 1] but not clamped.
    """
    scaled = (latents / vae.config["scaling_factor"]).to(vae.decoder.conv_in.weight)
    decoded: Tensor = vae.decode(scaled, num_frames=len(latents)).sample
    return decoded.float()


def decode_stream(vae: AutoencoderKLTemporalDecoder, latents: Tensor, chunk: int, padding: int = 0) -> Iterator[Tensor]:
    """Decode a clip chunk by chunk, without its padding.

    Chunks start at the first padded frame, as their borders change the result; those with nothing but padding are
    not decoded.

    Args:
        latents: (padding + F + padding, 4, h, w), scaled as the denoiser sees them.
        chunk: number of frames decoded together.
        padding: number of frames on each side to leave out.

    Yields:
        (n, 3, H, W) float32 in [0, 1], n up to `chunk`, F frames in all.
    """
    first, last = padding, len(latents) - padding
    for start in range(first // chunk * chunk, last, chunk):
        frames = decode(vae, latents[start : start + chunk])
        wanted = frames[max(first - start, 0) : last - start]
        yield (wanted / 2 + 0.5).clamp(0, 1)
