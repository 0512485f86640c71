"""The miniature's configuration, and untrained weights directories."""

from __future__ import annotations

import filecmp
import tempfile
from pathlib import Path
from typing import cast

import onnx
import torch
from torch import Tensor, nn

from models.appearance import AppearanceProjector, VisionTransformer
from models.autoencoder import autoencoder_for
from models.config import AppearanceConfig, ModelConfig, RefinerConfig, SchedulerConfig, UNetConfig, VAEConfig
from models.denoiser import Denoiser, PoseGuider
from models.miniature.build_detector import build_detector
from models.miniature.build_recogniser import build_recogniser
from models.motion import ExpressionEncoder, HeadPoseEncoder, MotionRefiner
from models.tensorfile import write_safetensors
from troupe.errors import SettingsError

__all__ = ["MINIATURE_CONFIG", "init_weights"]

MINIATURE_CONFIG = ModelConfig(
    image_size=128,
    face_size=64,
    window=12,
    appearance=AppearanceConfig(
        width=96,
        depth=6,
        heads=3,
        registers=4,
        patch=16,
        input_size=128,
        position_grid=8,
        adapter_width=32,
        adapter_attention=32,
        adapter_heads=4,
        adapter_blocks=(1, 3, 5),
        tokens=16,
    ),
    refiner=RefinerConfig(width=96, depth=3, heads=4, latents=16, expression=128),
    unet=UNetConfig(
        block_out_channels=(64, 128, 128),
        num_attention_heads=(2, 4, 4),
        cross_attention_dim=96,
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=96,
        layers_per_block=1,
        num_frames=12,
    ),
    vae=VAEConfig(block_out_channels=(96, 64, 96, 96), layers_per_block=1, sample_size=128),
    # At this noise level, nothing is left of 16 x 16 cells.
    scheduler=SchedulerConfig(sigma_min=0.02, sigma_max=40.0),
)
"""The released architecture, small enough for two CPU cores: 128 x 128 pixels, 17 million values."""

_EXPRESSION_WIDTHS = (32, 32, 48, 64)
_POSE_WIDTHS = (32, 64, 96, 128)


def init_weights(directory: Path, seed: int, config: ModelConfig = MINIATURE_CONFIG) -> None:
    """Write a weights directory with random, untrained weights.

    The weights depend only on the seed. They are stored as float16, like the release's autoencoder. The detector has no
    weights: it is rule-based and works at once.

    Args:
        directory: new or empty directory; one that holds identical files is left unchanged.
        config: configuration of the networks.

    Raises:
        SettingsError: the path is not a directory, or it holds other files.
    """
    if directory.exists() and not directory.is_dir():
        raise SettingsError(f"{directory} is not a directory; name a new directory for the weights")
    directory.parent.mkdir(parents=True, exist_ok=True)
    # Written beside its destination and renamed, so that no reader sees an incomplete directory.
    with tempfile.TemporaryDirectory(prefix=f".{directory.name}.", dir=directory.parent) as scratch:
        made = Path(scratch) / "weights"
        _write(made, seed, config)
        if directory.is_dir() and any(directory.iterdir()):
            if _same(made, directory):
                return
            raise SettingsError(
                f"{directory} is not empty and does not hold the miniature of seed {seed}; name a new directory"
            )
        if directory.is_dir():
            directory.rmdir()
        made.rename(directory)


def _write(directory: Path, seed: int, config: ModelConfig) -> None:
    config.write(directory)
    networks = _networks(seed, config)
    (directory / "hyportrait").mkdir()
    for name, network in networks.items():
        tensors = {key: _half(value) for key, value in network.state_dict().items()}
        if name == "vae":
            write_safetensors(directory / "vae" / "diffusion_pytorch_model.fp16.safetensors", tensors)
        else:
            torch.save(tensors, directory / "hyportrait" / f"{name}.pth")
    onnx.save(build_recogniser(seed, config.appearance.identity), directory / "arcface.onnx")
    onnx.save(build_detector(), directory / "detector.onnx")


def _networks(seed: int, config: ModelConfig) -> dict[str, nn.Module]:
    """Build all networks, by the names of their files, with torch's initial weights for this seed."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.manual_seed(seed)
        return {
            "expression": ExpressionEncoder(_EXPRESSION_WIDTHS, config.refiner.expression),
            "headpose": HeadPoseEncoder(_POSE_WIDTHS),
            "motion_proj": MotionRefiner(config.refiner, config.unet.cross_attention_dim),
            "dino": VisionTransformer(config.appearance),
            "image_proj": AppearanceProjector(config.appearance),
            "pose_guider": PoseGuider(config.unet.block_out_channels[0]),
            "unet": Denoiser(config.unet),
            "vae": cast("nn.Module", autoencoder_for(config.vae)),
        }


def _half(value: Tensor) -> Tensor:
    return (value.half() if value.is_floating_point() else value).contiguous()


def _same(made: Path, existing: Path) -> bool:
    """Whether two directories hold the same files with the same content."""
    names, others = (
        {path.relative_to(root) for path in root.rglob("*") if path.is_file()} for root in (made, existing)
    )
    return names == others and all(filecmp.cmp(made / name, existing / name, shallow=False) for name in names)
