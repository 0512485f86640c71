"""An autoencoder initialised with mean colours reproduces them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from models.autoencoder import autoencoder_for
from models.config import VAEConfig
from models.training.initialisation import init_mean_colours
from tests.models.networks import randn

CONFIG = VAEConfig(block_out_channels=(96, 32, 64, 96), layers_per_block=1)


def test_latents_are_mean_colours_and_are_decoded_to_them() -> None:
    torch.manual_seed(0)
    vae = autoencoder_for(CONFIG).eval()
    init_mean_colours(vae)
    # Dark, bright, single-coloured and colourful pictures.
    shades = torch.tensor([-0.9, 0.9, 0.3])[:, None, None, None] + torch.zeros(3, 3, 4, 4)
    cells = torch.cat([shades, randn(1, 3, 4, 4).clamp(-1, 1)])
    pictures = F.interpolate(cells, scale_factor=8.0)
    with torch.no_grad():
        latents = vae.encode(pictures).latent_dist
        decoded = vae.decode(latents.mean, num_frames=2).sample
    assert (latents.mean[:, :3] - cells).abs().max() < 0.25
    assert (latents.mean[:, :3] - cells).abs().mean() < 0.08
    assert (decoded - pictures).abs().mean() < 0.12
    assert latents.std.max() < 0.1


def test_other_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="96 channels"):
        init_mean_colours(autoencoder_for(VAEConfig(block_out_channels=(32, 32), layers_per_block=1)))
