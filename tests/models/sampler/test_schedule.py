"""Noise levels and steps."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.config import SchedulerConfig
from models.sampler.schedule import euler_step, karras_schedule, scale_model_input
from tests.models import golden
from tests.models.networks import randn

CONFIG = SchedulerConfig()


def test_golden_schedule() -> None:
    expected = golden.outputs("schedule.safetensors")
    numbers = sorted(int(name.removeprefix("sigmas_")) for name in expected if name.startswith("sigmas_"))
    assert numbers
    for steps in numbers:
        schedule = karras_schedule(CONFIG, steps)
        golden.assert_close(schedule.sigmas, expected[f"sigmas_{steps}"])
        golden.assert_close(schedule.timesteps, expected[f"timesteps_{steps}"])
        # The norm above depends on the largest of them only.
        torch.testing.assert_close(schedule.sigmas, expected[f"sigmas_{steps}"], rtol=1e-4, atol=0)


@given(st.integers(1, 60))
def test_sigmas_decrease(steps: int) -> None:
    sigmas = karras_schedule(CONFIG, steps).sigmas
    assert len(sigmas) == steps + 1
    assert (sigmas.diff() < 0).all()
    assert sigmas[0] == pytest.approx(CONFIG.sigma_max)
    assert sigmas[-1] == 0
    if steps > 1:
        assert sigmas[-2] == pytest.approx(CONFIG.sigma_min)


def test_sigmas_end_at_the_configured_values() -> None:
    sigmas = karras_schedule(SchedulerConfig(sigma_min=0.5, sigma_max=8), 3).sigmas
    assert sigmas[[0, 2]].tolist() == pytest.approx([8, 0.5])


@pytest.mark.parametrize("sigma", [700.0, 3.0, 0.01])
def test_a_step_with_the_true_v_gives_the_clean_latents(sigma: float) -> None:
    clean, noise = randn(2, 4, dtype=torch.float64), randn(2, 4, seed=1, dtype=torch.float64)
    noisy = clean + sigma * noise
    # v of the scaled pair: cos * noise - sin * clean with tan = sigma.
    v = (noise - sigma * clean) / (1 + sigma**2) ** 0.5
    torch.testing.assert_close(euler_step(noisy, v, sigma, 0.0), clean)
    torch.testing.assert_close(euler_step(noisy, v, sigma, sigma / 2), clean + sigma / 2 * noise)


def test_the_input_of_the_network_has_unit_variance() -> None:
    clean, noise = randn(100_000), randn(100_000, seed=1)
    for sigma in (0.002, 1.0, 700.0):
        assert scale_model_input(clean + sigma * noise, sigma).std() == pytest.approx(1, abs=0.02)
