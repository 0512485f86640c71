"""Weights directories of random values, and the model sizes that are measured.

Benchmarks write one and load it as a user would, so that they measure what users get.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from models.appearance import AppearanceProjector, VisionTransformer
from models.autoencoder import autoencoder_for
from models.config import AppearanceConfig, ModelConfig, RefinerConfig, UNetConfig, VAEConfig
from models.denoiser import Denoiser, PoseGuider
from models.miniature.build_recogniser import build_recogniser
from models.motion import ExpressionEncoder, HeadPoseEncoder, MotionRefiner
from models.motion.widths import RELEASED_WIDTHS, Widths
from models.weights import recogniser_file

__all__ = ["FULL", "REFERENCE", "TINY", "Model", "parts", "write_weights"]


@dataclass(frozen=True)
class Model:
    """Sizes of all networks.

    Attributes:
        config: configuration, as stored in a weights directory.
        widths: widths of the motion encoders, which the configuration does not include.
        stored: number type of the weights in the files.
    """

    config: ModelConfig
    widths: Widths
    stored: torch.dtype = torch.float32


FULL = Model(ModelConfig(), RELEASED_WIDTHS, torch.float16)
"""As released. Half precision keeps the directory at 4 GB."""

REFERENCE = Model(
    ModelConfig(
        image_size=128,
        appearance=AppearanceConfig(width=256, heads=4, adapter_width=32),
        # Other implementations start from motion tokens, so the refiner that makes them here costs next to nothing.
        refiner=RefinerConfig(width=64, depth=1, heads=1),
        unet=UNetConfig(
            block_out_channels=(64, 128, 256, 256), num_attention_heads=(1, 2, 4, 4), cross_attention_dim=256
        ),
        vae=VAEConfig(block_out_channels=(32, 32, 64, 64), layers_per_block=1),
    ),
    (32, 32, 32, 32),
)
"""For comparison with other implementations on a CPU."""

TINY = Model(
    ModelConfig(
        image_size=32,
        face_size=32,
        window=5,
        appearance=AppearanceConfig(
            width=32,
            depth=2,
            heads=2,
            input_size=28,
            adapter_width=16,
            adapter_attention=8,
            adapter_blocks=(1,),
            tokens=4,
        ),
        refiner=RefinerConfig(width=16, depth=1, heads=1, latents=4),
        unet=UNetConfig(
            block_out_channels=(32, 32, 32, 32),
            num_attention_heads=(1, 1, 1, 1),
            cross_attention_dim=32,
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=24,
        ),
        vae=VAEConfig(block_out_channels=(32, 32, 32, 32), layers_per_block=1),
    ),
    (32, 32, 32, 32),
)
"""For testing the benchmarks themselves."""


def write_weights(directory: Path, model: Model) -> Path:
    """Write a weights directory of random values in the release's layout.

    Returns:
        The directory.
    """
    (directory / "hyportrait").mkdir(parents=True)
    model.config.write(directory)
    for stem, module in parts(model).items():
        state = random_state(module, model.stored)
        if stem.startswith("vae/"):
            save_file(state, directory / f"{stem}.safetensors")
        else:
            torch.save(state, directory / f"{stem}.pth")
    onnx.save(build_recogniser(0, model.config.appearance.identity), recogniser_file(directory))
    return directory


def parts(model: Model) -> dict[str, nn.Module]:
    """Return every network on the meta device, by its file in a weights directory, without suffix."""
    config = model.config
    with torch.device("meta"):
        return {
            "hyportrait/expression": ExpressionEncoder(model.widths, config.refiner.expression),
            "hyportrait/headpose": HeadPoseEncoder(model.widths),
            "hyportrait/motion_proj": MotionRefiner(config.refiner, config.unet.cross_attention_dim),
            "hyportrait/dino": VisionTransformer(config.appearance),
            "hyportrait/image_proj": AppearanceProjector(config.appearance),
            "hyportrait/pose_guider": PoseGuider(config.unet.block_out_channels[0]),
            "hyportrait/unet": Denoiser(config.unet),
            "vae/diffusion_pytorch_model.fp16": autoencoder_for(config.vae),
        }


def random_state(module: nn.Module, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return random values that keep the variance of activations: small for biases, near 1 for scales."""
    generator = torch.Generator().manual_seed(0)

    def value(name: str, shaped: Tensor) -> Tensor:
        if not shaped.is_floating_point():
            return torch.zeros_like(shaped, device="cpu")
        noise = torch.randn(shaped.shape, generator=generator)
        if name.endswith("running_var"):
            return 1 + 0.1 * noise.abs()
        if noise.ndim < 2:
            return 0.1 * noise + name.endswith(("weight", "gamma"))
        return noise / math.sqrt(noise[0].numel())

    return {
        name: value(name, shaped).to(dtype if shaped.is_floating_point() else shaped.dtype)
        for name, shaped in module.state_dict().items()
    }
