"""The autoencoder as the animator uses it."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import AutoencoderKLTemporalDecoder
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from models.autoencoder import autoencoder_for, decode, decode_stream, encode_portrait
from models.config import VAEConfig
from tests.models import golden
from tests.models.networks import randn

SMALL = VAEConfig(block_out_channels=(32, 32), layers_per_block=1)


@pytest.fixture(scope="module")
def vae() -> AutoencoderKLTemporalDecoder:
    torch.manual_seed(0)
    return autoencoder_for(SMALL).requires_grad_(False).eval()


def test_golden_names_and_shapes_of_the_autoencoder() -> None:
    sizes = golden.cases()["pipeline_tiny"]["vae"]
    with torch.device("meta"):
        vae = autoencoder_for(VAEConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in sizes.items()}))
    assert golden.shapes_of(vae) == golden.shapes("e2e_tiny/vae")


def test_a_portrait_is_encoded_as_the_mean_of_its_latents(vae: AutoencoderKLTemporalDecoder) -> None:
    picture = randn(3, 16, 16).clamp(-1, 1)
    latents = encode_portrait(vae, picture)
    assert latents.shape == (4, 8, 8)
    torch.testing.assert_close(latents, vae.quant_conv(vae.encoder(picture[None]))[0, :4])


def test_the_encoder_keeps_its_precision(vae: AutoencoderKLTemporalDecoder) -> None:
    picture, latents = randn(3, 16, 16).clamp(-1, 1), randn(2, 4, 8, 8)
    expected, frames = encode_portrait(vae, picture), decode(vae, latents)
    mixed = autoencoder_for(SMALL).requires_grad_(False).eval()
    mixed.load_state_dict(vae.state_dict())
    mixed.decoder.to(torch.bfloat16)
    assert torch.equal(encode_portrait(mixed, picture), expected)
    coarse = decode(mixed, latents)
    assert coarse.dtype == torch.float32
    assert (coarse - frames).norm() < 0.05 * frames.norm()


def test_latents_are_unscaled_and_pixels_are_in_0_to_1(vae: AutoencoderKLTemporalDecoder) -> None:
    latents = randn(3, 4, 8, 8)
    raw = vae.decode(latents / SMALL.scaling_factor, num_frames=3).sample
    torch.testing.assert_close(decode(vae, latents), raw)
    (pixels,) = stream(vae, latents, 3, 0)
    torch.testing.assert_close(pixels, (raw / 2 + 0.5).clamp(0, 1))
    assert 0 <= pixels.min() < pixels.max() <= 1


def stream(vae: AutoencoderKLTemporalDecoder, latents: Tensor, chunk: int, padding: int) -> list[Tensor]:
    return list(decode_stream(vae, latents, chunk, padding))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 7), st.integers(1, 5), st.integers(0, 7))
def test_a_stream_equals_the_releases_chunks_without_padding(
    vae: AutoencoderKLTemporalDecoder, frames: int, chunk: int, padding: int
) -> None:
    latents = randn(padding + frames + padding, 4, 4, 4)
    whole = torch.cat([decode(vae, part) for part in latents.split(chunk)])
    pixels = (whole / 2 + 0.5).clamp(0, 1)
    streamed = stream(vae, latents, chunk, padding)
    assert all(len(part) in range(1, chunk + 1) for part in streamed)
    torch.testing.assert_close(torch.cat(streamed), pixels[padding : padding + frames])


@pytest.mark.parametrize(("frames", "chunk", "padding", "decoded"), [(5, 4, 9, 8), (8, 8, 15, 16), (1, 8, 0, 1)])
def test_chunks_of_padding_are_not_decoded(
    vae: AutoencoderKLTemporalDecoder, frames: int, chunk: int, padding: int, decoded: int
) -> None:
    seen: list[int] = []
    hook = vae.decoder.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    streamed = stream(vae, randn(padding + frames + padding, 4, 4, 4), chunk, padding)
    hook.remove()
    assert sum(map(len, streamed)) == frames
    assert sum(seen) == decoded
    assert len(seen) == len(streamed)


def test_a_stream_decodes_lazily(vae: AutoencoderKLTemporalDecoder) -> None:
    seen: list[int] = []
    hook = vae.decoder.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    frames = decode_stream(vae, randn(6, 4, 4, 4), 2)
    assert seen == []
    next(frames)
    assert seen == [2]
    hook.remove()


def test_cost_of_a_decoded_frame_at_full_size() -> None:
    chunk = 8
    with FakeTensorMode():
        vae = autoencoder_for(VAEConfig()).requires_grad_(False)
        with FlopCounterMode(display=False) as counter:
            decode(vae, torch.empty(chunk, 4, 64, 64))
    assert counter.get_total_flops() / chunk <= 3.02e12
