"""A voice that is quick to make, with random values."""

from __future__ import annotations

import torch

from models.voice import VoiceConfig, VoiceNetwork

__all__ = ["random_voice"]


def random_voice(expression: int = 128) -> VoiceNetwork:
    """Return a voice whose directions are orthonormal."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        voice = VoiceNetwork(VoiceConfig(expression, rank=4, width=8, dilations=(1, 3)))
        voice.directions.data = torch.linalg.qr(voice.directions.data)[0]
        voice.mean.copy_(torch.randn(expression))
    voice.scale.fill_(20.0)
    return voice.requires_grad_(False).eval()
