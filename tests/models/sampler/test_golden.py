"""From portrait and motion tokens to frames, compared with the released implementation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from models.appearance import AppearanceProjector, VisionTransformer
from models.autoencoder import autoencoder_for, decode, encode_portrait
from models.config import ModelConfig, VAEConfig
from models.denoiser import Denoiser, PoseGuider
from models.runtime.compile import compile_blocks
from models.sampler import Scene, sample
from tests.models import golden
from tests.models.appearance.test_golden import tiny
from tests.models.networks import filled, unet_config
from troupe.sampler_settings import SamplerSettings


@dataclass(frozen=True)
class Pipeline:
    """Everything of the tiny pipeline that its cases share."""

    config: ModelConfig
    denoiser: Denoiser
    vae: Any
    scene: Scene
    noise: Tensor


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return build_pipeline()


@pytest.fixture(scope="module")
def compiled() -> Pipeline:
    built = build_pipeline()
    compile_blocks(built.denoiser)
    return built


def build_pipeline(dtype: torch.dtype = torch.float32) -> Pipeline:
    """The tiny pipeline.

    Args:
        dtype: of the denoiser and the decoder, as `models.weights` places it; all else is float32.
    """
    case = golden.cases()["pipeline_tiny"]
    vae_sizes = {name: tuple(v) if isinstance(v, list) else v for name, v in case["vae"].items()}
    config = ModelConfig(
        image_size=case["size"],
        window=case["window"],
        appearance=tiny(),
        unet=unet_config(case["unet"]),
        vae=VAEConfig(**vae_sizes),
    )
    with torch.device("meta"):
        denoiser = Denoiser(config.unet)
        vae = autoencoder_for(config.vae)
        guider = PoseGuider(case["pose_channels"])
        transformer = VisionTransformer(config.appearance)
        projector = AppearanceProjector(config.appearance)
    denoiser, vae = filled(denoiser, "e2e_tiny/unet"), filled(vae, "e2e_tiny/vae")
    guider = filled(guider, "e2e_tiny/pose_guider")
    for module in (denoiser, guider, vae.decoder):
        module.to(dtype)
    transformer, projector = filled(transformer, "e2e_tiny/dino"), filled(projector, "e2e_tiny/image_proj")

    size, latent, frames = case["size"], config.latent_size, case["frames"]
    seen = config.appearance.input_size
    portrait = (0.4 * golden.noise("input.reference_image", (1, 3, size, size))).clamp(-1, 1)[0]
    identity = golden.noise("input.arcface_embedding", (1, config.appearance.identity))
    image = golden.noise("input.dino_image", (1, 3, seen, seen))
    tokens = projector(transformer(image, identity / identity.norm()))[0]
    motion = golden.noise(
        "input.motion_tokens", (1, frames, case["appearance_tokens"], config.unet.cross_attention_dim)
    )[0]
    scene = Scene(
        appearance=denoiser.project_appearance(tokens),
        motion=denoiser.project_motion(motion, budget=2**30),
        portrait=encode_portrait(vae, portrait),
        pose=guider(torch.zeros(1, 3, size, size, dtype=dtype))[0],
    )
    noise = golden.noise("input.initial_noise", (1, frames, config.vae.latent_channels, latent, latent))[0]
    return Pipeline(config, denoiser, vae, scene, noise)


def settings(name: str) -> SamplerSettings:
    """Return the settings of a guidance case."""
    case = golden.cases()["pipeline_tiny"]
    guidance = case["guidance"][name]
    return SamplerSettings(
        steps=case["steps"],
        appearance_guidance=tuple(guidance["appearance"]),
        motion_guidance=tuple(guidance["motion"]),
        overlap=case["overlap"],
        shift=case["shift"],
        padding=0,
        fps=case["fps"],
    )


def latents(pipeline: Pipeline, name: str, windows_per_call: int) -> Tensor:
    """Sample latents (F, 4, h, w)."""
    return sample(
        pipeline.denoiser, pipeline.scene, pipeline.noise, settings(name), pipeline.config, windows_per_call
    ).latents


def frames(vae: Any, latents: Tensor) -> Tensor:
    """Decode frames (F, 3, H, W), not clamped, in the chunks of the release."""
    return torch.cat([decode(vae, chunk) for chunk in latents.split(golden.cases()["pipeline_tiny"]["decode_chunk"])])


def assert_golden(pipeline: Pipeline, windows_per_call: int) -> None:
    expected = golden.outputs("pipeline_tiny.safetensors")
    for name in golden.cases()["pipeline_tiny"]["guidance"]:
        made = latents(pipeline, name, windows_per_call)
        golden.assert_close(made[None], expected[f"{name}.latents"])
        golden.assert_close(frames(pipeline.vae, made).transpose(0, 1)[None], expected[f"{name}.frames"])


@pytest.mark.parametrize("windows_per_call", [1, 2, 5])
def test_golden_pipeline(pipeline: Pipeline, windows_per_call: int) -> None:
    assert_golden(pipeline, windows_per_call)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("windows_per_call", [1, 2, 5])
def test_golden_pipeline_compiled(compiled: Pipeline, windows_per_call: int) -> None:
    assert_golden(compiled, windows_per_call)
