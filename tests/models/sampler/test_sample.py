"""The sampler on a small network: memory settings, progress and cancellation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.config import ModelConfig, VAEConfig
from models.denoiser import Denoiser
from models.sampler import Scene, draw_noise, evaluations, fitting_windows, pad_motion, sample
from models.sampler.guidance import Branch, branches
from models.sampler.sample import _guided_prediction
from models.sampler.saved import Saved
from models.sampler.steps import Step, plan_steps
from models.sampler.windows import windows
from tests.models import golden
from tests.models.networks import SMALL, randn, small_denoiser
from troupe.errors import Cancelled, SettingsError
from troupe.sampler_settings import SamplerSettings

# Latents of 16: with smaller ones, the innermost norms have two values per group, which amplifies rounding.
UNET = replace(SMALL, block_out_channels=(32,) * 4, num_attention_heads=(1, 1, 2, 2), layers_per_block=1)
CONFIG = ModelConfig(image_size=128, window=4, unet=UNET, vae=VAEConfig())
SETTINGS = SamplerSettings(steps=2, overlap=1, shift=2, padding=0)
UNEQUAL = replace(SETTINGS, appearance_guidance=(1.5, 2), motion_guidance=(2.5, 2))
TOKENS = 5


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    return small_denoiser(UNET)


def scene(denoiser: Denoiser, frames: int, budget: int = 2**30, scale: float = 1) -> Scene:
    return Scene(
        appearance=denoiser.project_appearance(randn(TOKENS, UNET.cross_attention_dim, seed=1)),
        motion=denoiser.project_motion(scale * randn(frames, TOKENS, UNET.cross_attention_dim, seed=2), budget),
        portrait=randn(4, CONFIG.latent_size, CONFIG.latent_size, seed=3),
        pose=0.1 * randn(UNET.block_out_channels[0], CONFIG.latent_size, CONFIG.latent_size, seed=4),
    )


@pytest.mark.parametrize("strength", [(2.0, 2.0), (1.5, 3.0), (1.0, 1.0), (1.0, 2.0), (3.0, 0.0)])
def test_guided_prediction(denoiser: Denoiser, strength: tuple[float, float]) -> None:
    noisy = randn(1, 4, 4, CONFIG.latent_size, CONFIG.latent_size, seed=9)
    predictions = {branch: randn(*noisy.shape, seed=number) for number, branch in enumerate(Branch)}
    evaluated = []

    class Predictor:
        dtype = torch.float32

        def __call__(self, model_input: Tensor, *conditioning: Any, **_: Any) -> Tensor:
            *_, contexts = conditioning
            evaluated.append(branch := list(Branch)[len(contexts)])
            assert model_input[:, :, 4:].any() == (branch is not Branch.UNCOND)
            return predictions[branch]

    timestep, time_ids = torch.zeros(1), torch.zeros(1, 3)
    factors = branches(*strength)
    step, indices = Step(1, 0, 0, factors, dict.fromkeys(factors, True)), torch.arange(4)[None]
    predictor: Any = Predictor()
    found = _guided_prediction(predictor, scene(denoiser, 4), indices, noisy, timestep, time_ids, step, Saved(SETTINGS))

    nothing, appearance, full = (predictions[branch] for branch in Branch)
    expected = nothing + strength[0] * (appearance - nothing) + strength[1] * (full - appearance)
    torch.testing.assert_close(found, expected)
    assert evaluated == list(branches(*strength))
    assert (Branch.UNCOND in evaluated) == (strength[0] != 1)
    assert (Branch.APPEARANCE in evaluated) == (strength[0] != strength[1])
    assert (Branch.FULL in evaluated) == (strength[1] != 0)


def latents(denoiser: Denoiser, frames: int, settings: SamplerSettings = SETTINGS, windows_per_call: int = 1) -> Tensor:
    noise = draw_noise(0, frames, CONFIG)
    return sample(denoiser, scene(denoiser, frames), noise, settings, CONFIG, windows_per_call).latents


@pytest.fixture
def calls(denoiser: Denoiser) -> Iterator[list[nn.Module]]:
    """Record the calls of the denoiser and of its context projections."""
    listening = [denoiser]
    for transformer in denoiser.transformers:
        for attention in (transformer.spatial.attn2, transformer.temporal.attn2):
            listening += [attention.to_k, attention.to_v, *attention.processor.to_k_ip, *attention.processor.to_v_ip]
    called: list[nn.Module] = []
    hooks = [module.register_forward_pre_hook(lambda module, _: called.append(module)) for module in listening]
    yield called
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("settings", [SETTINGS, UNEQUAL])
def test_windows_per_call_do_not_change_the_result(denoiser: Denoiser, settings: SamplerSettings) -> None:
    frames = 11
    assert len(windows(frames, CONFIG.window, SETTINGS.overlap, 0)) == 4
    expected = latents(denoiser, frames, settings)
    for windows_per_call in (2, 5):
        golden.assert_close(latents(denoiser, frames, settings, windows_per_call), expected)


def test_the_motion_budget_does_not_change_the_result(denoiser: Denoiser) -> None:
    noise = draw_noise(0, 6, CONFIG)
    kept = sample(denoiser, scene(denoiser, 6), noise, SETTINGS, CONFIG)
    made = sample(denoiser, scene(denoiser, 6, budget=0), noise, SETTINGS, CONFIG)
    golden.assert_close(made.latents, kept.latents)


@pytest.mark.parametrize("settings", [SETTINGS, UNEQUAL])
def test_no_context_is_projected_inside_the_steps(
    denoiser: Denoiser, settings: SamplerSettings, calls: list[nn.Module]
) -> None:
    given = scene(denoiser, 6)
    assert denoiser not in calls
    projections = len(calls)
    sample(denoiser, given, draw_noise(0, 6, CONFIG), settings, CONFIG)
    assert projections == 8 * len(denoiser.transformers)
    assert set(calls[projections:]) == {denoiser}


@pytest.mark.parametrize(
    ("appearance", "motion", "branches"),
    [
        ((2, 2), (2, 2), 2 + 2),
        ((1, 3), (1, 3), 1 + 2),
        ((1, 1), (1, 1), 1 + 1),
        ((1, 2), (3, 3), 2 + 3),
        ((1.5, 2), (3, 2), 3 + 2),
    ],
)
def test_branches_without_weight_are_not_evaluated(
    denoiser: Denoiser,
    calls: list[nn.Module],
    appearance: tuple[float, float],
    motion: tuple[float, float],
    branches: int,
) -> None:
    settings = replace(SETTINGS, appearance_guidance=appearance, motion_guidance=motion)
    frames = 6
    result = sample(denoiser, scene(denoiser, frames), draw_noise(0, frames, CONFIG), settings, CONFIG)
    covering = len(windows(frames, CONFIG.window, settings.overlap, 0))
    assert calls.count(denoiser) == covering * branches
    assert result.evaluations == evaluations(frames, CONFIG, settings)
    assert result.evaluations == covering * CONFIG.window * branches


@pytest.mark.parametrize("frames", [1, 2, 4, 5])
def test_clips_shorter_and_longer_than_a_window(denoiser: Denoiser, frames: int) -> None:
    made = latents(denoiser, frames)
    assert made.shape == (frames, 4, CONFIG.latent_size, CONFIG.latent_size)
    assert made.dtype == torch.float32
    assert made.isfinite().all()


def test_portrait_and_contexts_affect_the_latents(denoiser: Denoiser) -> None:
    noise = draw_noise(0, 4, CONFIG)
    given = scene(denoiser, 4)
    made = sample(denoiser, given, noise, SETTINGS, CONFIG).latents
    others = (
        replace(given, portrait=2 * given.portrait),
        replace(given, appearance=denoiser.project_appearance(randn(TOKENS, UNET.cross_attention_dim, seed=9))),
        scene(denoiser, 4, scale=0.5),
        replace(given, pose=3 * given.pose),
    )
    for other in others:
        assert not torch.allclose(sample(denoiser, other, noise, SETTINGS, CONFIG).latents, made, atol=1e-3)


def test_latents_stay_float32_around_a_16_bit_denoiser(denoiser: Denoiser) -> None:
    coarse = small_denoiser(UNET).to(torch.bfloat16)
    given = scene(coarse, 5)
    given = replace(given, pose=given.pose.bfloat16())
    made = sample(coarse, given, draw_noise(0, 5, CONFIG), SETTINGS, CONFIG).latents
    expected = latents(denoiser, 5)
    assert made.dtype == torch.float32
    assert (made - expected).norm() < 0.2 * expected.norm()


def test_progress_counts_up_to_the_total(denoiser: Denoiser) -> None:
    reported: list[tuple[int, int]] = []
    noise = draw_noise(0, 6, CONFIG)
    result = sample(
        denoiser, scene(denoiser, 6), noise, SETTINGS, CONFIG, on_progress=lambda *counts: reported.append(counts)
    )
    assert [done for done, _ in reported] == sorted(done for done, _ in reported)
    assert reported[-1] == (result.evaluations, result.evaluations)
    assert {total for _, total in reported} == {result.evaluations}


def test_the_progress_callback_may_cancel(denoiser: Denoiser, calls: list[nn.Module]) -> None:
    def stop(done: int, total: int) -> None:
        raise Cancelled(f"after {done} of {total}")

    with pytest.raises(Cancelled):
        sample(denoiser, scene(denoiser, 6), draw_noise(0, 6, CONFIG), SETTINGS, CONFIG, on_progress=stop)
    assert calls.count(denoiser) == 2


def test_an_overlap_of_the_whole_window_is_refused_at_once(denoiser: Denoiser, calls: list[nn.Module]) -> None:
    settings = replace(SETTINGS, overlap=CONFIG.window)
    given, noise = scene(denoiser, 6), draw_noise(0, 6, CONFIG)
    calls.clear()
    with pytest.raises(SettingsError, match="overlap"):
        sample(denoiser, given, noise, settings, CONFIG)
    assert not calls


def test_noise_and_motion_must_have_equal_length(denoiser: Denoiser) -> None:
    with pytest.raises(ValueError, match="padding"):
        sample(denoiser, scene(denoiser, 6), draw_noise(0, 5, CONFIG), SETTINGS, CONFIG)


def test_motion_fades_in_and_out() -> None:
    tokens = randn(3, 2, 5)
    padded = pad_motion(tokens, 4)
    assert padded.shape == (11, 2, 5)
    torch.testing.assert_close(padded[:4], torch.stack([tokens[0] * i / 4 for i in range(4)]))
    assert torch.equal(padded[4:7], tokens)
    torch.testing.assert_close(padded[7:], torch.stack([tokens[2] * (1 - i / 4) for i in range(4)]))
    assert torch.equal(pad_motion(tokens, 0), tokens)


def test_noise_depends_on_the_seed_alone() -> None:
    noise = draw_noise(3, 5, CONFIG)
    assert noise.shape == (5, 4, 16, 16)
    assert noise.dtype == torch.float32
    assert torch.equal(noise, torch.randn(5, 4, 16, 16, generator=torch.Generator().manual_seed(3)))
    assert not torch.equal(noise, draw_noise(4, 5, CONFIG))


def test_windows_that_fit() -> None:
    full = ModelConfig()
    assert fitting_windows(full, torch.bfloat16) == 1
    assert fitting_windows(full, torch.bfloat16, 2**34) > fitting_windows(full, torch.float32, 2**34) > 1
    assert fitting_windows(full, torch.bfloat16, 0) == 1
    # A GPU's fused attention has a maximum number of sequences, independent of memory.
    assert fitting_windows(full, torch.bfloat16, 2**60) * full.latent_size**2 < 2**16


SAVINGS = (
    SamplerSettings(steps=4, overlap=1, shift=2, padding=0, guidance_every=2),
    SamplerSettings(steps=4, overlap=1, shift=2, padding=0, deep_every=3),
    SamplerSettings(steps=4, overlap=1, shift=2, padding=0, guidance_every=3, deep_every=2),
    SamplerSettings(steps=4, overlap=1, shift=2, padding=0, guidance_interval=(1.0, 100.0)),
    replace(UNEQUAL, steps=4, guidance_every=2, deep_every=2),
)


@pytest.mark.long
@pytest.mark.parametrize("settings", SAVINGS)
def test_savings_do_not_depend_on_the_windows_per_call(denoiser: Denoiser, settings: SamplerSettings) -> None:
    once = latents(denoiser, 7, settings)
    golden.assert_close(latents(denoiser, 7, settings, windows_per_call=3), once)
    everything = latents(denoiser, 7, SamplerSettings(steps=4, overlap=1, shift=2, padding=0))
    assert (once - everything).abs().max() > 0


@pytest.mark.parametrize("settings", SAVINGS)
def test_savings_evaluate_what_the_plan_says(
    denoiser: Denoiser, calls: list[nn.Module], settings: SamplerSettings
) -> None:
    inner = []
    hook = denoiser.mid_block.register_forward_pre_hook(lambda *_: inner.append(True))
    noise, given = draw_noise(0, 7, CONFIG), scene(denoiser, 7)
    result = sample(denoiser, given, noise, settings, CONFIG)
    hook.remove()
    steps, covering = plan_steps(CONFIG.scheduler, settings), len(windows(7, CONFIG.window, settings.overlap, 0))
    evaluated = [deep for step in steps for deep in step.evaluated.values()]
    assert calls.count(denoiser) == covering * len(evaluated)
    assert len(inner) == covering * sum(evaluated)
    assert result.evaluations == covering * CONFIG.window * len(evaluated)


def test_savings_that_reuse_nothing_change_nothing(denoiser: Denoiser) -> None:
    """A reused difference is exact where nothing moves from step to step, so one step has nothing to lose."""
    one = SamplerSettings(steps=1, overlap=1, shift=2, padding=0)
    saving = replace(one, guidance_every=5, deep_every=5, guidance_interval=(0.0, 1e6))
    assert torch.equal(latents(denoiser, 5, saving), latents(denoiser, 5, one))
