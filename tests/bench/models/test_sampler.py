"""The sampler's benchmark, on a tiny model."""

from __future__ import annotations

import pytest

from bench.models import sampler
from bench.models.sampler import CONFIGURATIONS, measure
from troupe import SamplerSettings


@pytest.mark.long
def test_tiny() -> None:
    args = sampler.parser().parse_args(["--config", "tiny", "--frames", "9", "6", "--runs", "2", "--device", "cpu"])
    findings = measure(args)
    assert list(findings.cases) == ["float32, 6 frames", "float32, 9 frames"]
    for frames, case in zip((6, 9), findings.cases.values(), strict=True):
        assert case.figures["branches_per_step"] == 2
        # 2 steps, 2 branches, windows of 5 at every third of the padded frames
        assert case.number("evaluations_per_frame") * frames == pytest.approx(4 * 5 * -(-(frames + 4) // 3))
        assert case.figures["least_evaluations_per_frame"] == 4
        assert case.number("tflop_per_frame") > case.number("least_tflop_per_frame") > 0
        assert case.number("peak_memory_bytes") > 2**27
        assert 0 < case.number("denoise_matrix_share") < 1
        assert {name: len(values) for name, values in case.samples.items()} == {
            "seconds": 2,
            "appearance_seconds": 2,
            "denoise_seconds": 2,
            "vae_seconds": 2,
            "denoise_processor_seconds": 2,
        }
        parts = case.number("frames_per_second"), frames / case.number("seconds")
        assert parts[0] == pytest.approx(parts[1])
    assert findings.checks["branches_per_step"].ok


def test_configuration_for_runs_side_by_side() -> None:
    plan = CONFIGURATIONS["reference-cpu"]
    config = plan.model.config
    assert config.unet.block_out_channels == (64, 128, 256, 256)
    assert config.unet.num_attention_heads == (1, 2, 4, 4)
    assert config.unet.cross_attention_dim == config.appearance.width == 256
    assert config.appearance.tokens == config.refiner.latents == 64
    assert (config.appearance.depth, config.appearance.heads, config.appearance.adapter_width) == (24, 4, 32)
    assert config.vae.block_out_channels == (32, 32, 64, 64)
    assert (config.image_size, config.window, plan.frames, plan.decoded) == (128, 25, (44,), False)
    assert plan.settings == SamplerSettings(steps=2, overlap=3, shift=3, padding=0)
    assert plan.runs == 5
