"""Networks for tests in several folders: small random ones, and those of the golden files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from models.config import UNetConfig
from models.denoiser import Denoiser
from tests.models import golden

M = TypeVar("M", bound=nn.Module)

SMALL = UNetConfig(
    block_out_channels=(32, 64, 64, 64),
    num_attention_heads=(1, 2, 2, 4),
    cross_attention_dim=24,
    addition_time_embed_dim=8,
    projection_class_embeddings_input_dim=24,
    num_frames=4,
)
TIME_IDS = torch.tensor([[12.5, 0.0, 0.0]])


def filled(network: M, entry: str) -> M:
    """Fill a network built on `meta` with the golden values of an entry of state_dicts.json."""
    network.load_state_dict(golden.weights(golden.shapes(entry)), strict=True, assign=True)
    return network.requires_grad_(False).eval()


def unet_config(case: Mapping[str, Any]) -> UNetConfig:
    """Return the `UNetConfig` of a configuration in cases.json."""
    return UNetConfig(**{name: tuple(v) if isinstance(v, list) else v for name, v in case.items()})


def small_denoiser(config: UNetConfig = SMALL) -> Denoiser:
    """Return a denoiser with fixed random weights, without biases or mixers at special values."""
    denoiser = Denoiser(config).requires_grad_(False).eval()
    generator = torch.Generator().manual_seed(7)
    for name, parameter in denoiser.named_parameters():
        value = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim > 1:
            parameter.copy_(value / parameter[0].numel() ** 0.5)
        else:
            parameter.copy_(0.1 * value + name.endswith("weight"))
    return denoiser


def randn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return normally distributed values, the same for a seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
