"""The animator on a tiny model: memory budgets, smaller budgets after running out of memory, streaming."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.support.random_inputs import random_motion, random_portrait
from bench.support.random_weights import TINY, write_weights
from models.animator import MOTION_BATCH, Animator, load
from models.denoiser import Denoiser
from models.motion import Motion
from models.runtime.device import GIB, Budget, gpu_budget
from models.sampler import evaluations
from models.weights import Networks, distilled_file, save_distilled
from tests.models import golden
from troupe import PRESETS, Picture, SamplerSettings
from troupe.errors import Cancelled, SettingsError, WeightsError

# Latents of 16: with smaller ones, the innermost norms have two values per group, which amplifies rounding.
MODEL = replace(TINY, config=replace(TINY.config, image_size=128))
SETTINGS = SamplerSettings(steps=2, padding=2, overlap=2)
FRAMES = MOTION_BATCH + 5


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("tiny") / "weights", MODEL)


@pytest.fixture(scope="module")
def loaded(directory: Path) -> Animator:
    return load(directory, "cpu", "float32")


@pytest.fixture
def animator(loaded: Animator) -> Iterator[Animator]:
    budget = loaded.budget
    yield loaded
    loaded.budget = budget


def none(_: Denoiser) -> Denoiser:
    raise AssertionError("no settings here need it")


def latents(animator: Animator, motion: Motion) -> Tensor:
    appearance = animator.encode_appearance(random_portrait(animator.config))
    return animator._denoise(appearance, motion, SETTINGS, lambda *_: None)


@pytest.mark.parametrize("budget", [Budget(2**40, 0), Budget(0, 2**40)])
def test_the_memory_budget_does_not_change_the_result(animator: Animator, budget: Budget) -> None:
    motion = random_motion(6, animator.config)
    expected = latents(animator, motion)
    animator.budget = budget
    golden.assert_close(latents(animator, motion), expected)


def test_frames_are_refined_one_by_one(animator: Animator) -> None:
    motion = random_motion(FRAMES, animator.config)
    refined = animator._refine(motion)
    assert len(refined) == FRAMES
    whole = animator._networks.refiner(motion.expression, motion.frame_intensity(animator.config.window))
    golden.assert_close(refined, whole)


def test_frames_are_streamed_and_progress_is_reported(animator: Animator) -> None:
    appearance = animator.encode_appearance(random_portrait(animator.config))
    before, reported = animator.evaluations, []
    frames = animator.animate(
        appearance, random_motion(7, animator.config), SETTINGS, on_progress=lambda *n: reported.append(n)
    )
    side = animator.config.image_size
    assert [frame.shape for frame in frames] == [(side, side, 3)] * 7
    # Two steps and branches; windows of 5 at every third of the 11 padded frames.
    assert animator.evaluations - before == 2 * 2 * 4 * 5 == reported[-1][1]


def test_a_cancelled_render_does_not_affect_the_next(animator: Animator) -> None:
    motion = random_motion(3, animator.config)
    appearance = animator.encode_appearance(random_portrait(animator.config))
    expected = [frame.copy() for frame in animator.animate(appearance, motion, SETTINGS)]

    def stop(done: int, total: int) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        next(animator.animate(appearance, motion, SETTINGS, on_progress=stop))
    half = animator.animate(appearance, motion, SETTINGS)
    next(half)
    half.close()
    again = list(animator.animate(appearance, motion, SETTINGS))
    assert all((a == b).all() for a, b in zip(again, expected, strict=True))


@pytest.mark.long
@pytest.mark.parametrize("offload", [False, True])
def test_a_clip_is_decoded_while_another_is_denoised(animator: Animator, offload: bool) -> None:
    """Unless there is memory for one of them only; the frames are the same."""
    settings = replace(SETTINGS, decode_chunk=2)
    motions = [random_motion(count, animator.config) for count in (9, 4)]
    appearance = animator.encode_appearance(random_portrait(animator.config))
    alone = [np.stack(list(animator.animate(appearance, motion, settings))) for motion in motions]
    animator.budget = replace(animator.budget, offload=offload)
    first, started = animator.animate(appearance, motions[0], settings), threading.Event()
    frames = [next(first)]
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(
            lambda: list(animator.animate(appearance, motions[1], settings, on_progress=lambda *_: started.set()))
        )
        if not offload:
            assert started.wait(20), "it does not wait until the first is decoded"
        frames += first
        assert (np.stack(frames) == alone[0]).all()
        assert (np.stack(second.result(20)) == alone[1]).all()


def test_fast_uses_the_distilled_denoiser(directory: Path, tmp_path: Path) -> None:
    """Loaded when it is first used; other settings keep to the denoiser itself."""
    changed = shutil.copytree(directory, tmp_path / "weights")
    animator = load(changed, "cpu", "float32")
    motion, fast = random_motion(4, animator.config), replace(PRESETS["fast"], padding=1, overlap=2)
    appearance = animator.encode_appearance(random_portrait(animator.config))

    def frames(animator: Animator, settings: SamplerSettings) -> Picture:
        return np.stack(list(animator.animate(appearance, motion, settings)))

    with pytest.raises(WeightsError, match="has no distilled denoiser"):
        frames(animator, fast)
    save_distilled(changed, {"conv_out.bias": torch.ones(4)}, fast.steps)
    undistilled = replace(fast, distilled=False)
    plain, evaluated = frames(animator, undistilled), animator.evaluations
    distilled = frames(animator, fast)
    assert (distilled != plain).any()
    assert animator.evaluations - evaluated == evaluations(4 + 2, animator.config, fast)
    assert (frames(animator, undistilled) == plain).all()
    distilled_file(changed).unlink()
    assert (frames(animator, fast) == distilled).all(), "it is loaded once"


def test_a_budget_on_a_cpu_does_not_shrink(animator: Animator) -> None:
    assert not animator.shrink()


def test_the_budget_shrinks_to_its_minimum(loaded: Animator) -> None:
    """On `meta`, which needs no memory but otherwise behaves as a GPU."""
    networks = Networks(**{name: getattr(loaded._networks, name) for name in Networks.__dataclass_fields__})
    animator = Animator(loaded.config, networks, loaded._identity, torch.device("meta"), gpu_budget(24 * GIB), none)
    seen = [animator.budget]
    while animator.shrink():
        seen.append(animator.budget)
    assert seen[-1] == replace(seen[0], motion=0, activations=seen[-1].activations, offload=True)
    assert seen[-1].activations <= 2 * 25 * 2**20
    assert [budget.offload for budget in seen] == sorted(budget.offload for budget in seen)
    assert {value.device.type for network in networks.all for value in network.parameters()} == {"cpu"}


def test_a_gpu_memory_limit_is_ignored_on_a_cpu(directory: Path) -> None:
    assert load(directory, "cpu", "float32", gpu_memory=12).budget == load(directory, "cpu").budget
    with pytest.raises(SettingsError):
        load(directory, "cpu", "float16")
