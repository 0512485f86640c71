"""The error of bfloat16, on the tiny pipeline of the golden files, whose frames are float32."""

from __future__ import annotations

import pytest
import torch

from tests.models import golden
from tests.models.sampler.test_golden import build_pipeline, frames, latents

LEAST = 35.0
"""Minimum PSNR in dB; the error is invisible. Measured: 37.9 with equal guidance, 36.1 with unequal."""


@pytest.mark.long
def test_bfloat16_is_close_to_float32() -> None:
    pipeline = build_pipeline(torch.bfloat16)
    released = golden.outputs("pipeline_tiny.safetensors")
    for name in golden.cases()["pipeline_tiny"]["guidance"]:
        pictures = frames(pipeline.vae, latents(pipeline, name, 1)), released[f"{name}.frames"][0].transpose(0, 1)
        made, expected = ((picture / 2 + 0.5).clamp(0, 1) for picture in pictures)
        psnr = -10 * (expected - made).square().mean().log10()
        assert psnr >= LEAST, f"{name}: {psnr:.1f} dB"
