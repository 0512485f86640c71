"""The model on a GPU, as far as it can be known without one: devices, dtypes, waiting and memory, at full size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.support.random_weights import FULL, TINY, Model
from models import animator as animator_module
from models.animator import Animator, load
from models.motion import Motion
from tests.models.fake_cuda import GIB, FakeGPU, fake_gpu, sample_module, write_empty_weights
from troupe import SamplerSettings, Track

SMALL = replace(
    TINY,
    config=replace(
        TINY.config,
        unet=replace(TINY.config.unet, layers_per_block=1),
        vae=replace(TINY.config.vae, block_out_channels=(32,) * 4),
    ),
)
ONE_BRANCH = SamplerSettings(steps=2, padding=0, appearance_guidance=(1.0, 1.0), motion_guidance=(1.0, 1.0))
RUNTIME = 0.5
"""GiB that CUDA's own context takes."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Model], Path]:
    made: dict[int, Path] = {}

    def directory(model: Model) -> Path:
        if id(model) not in made:
            made[id(model)] = write_empty_weights(tmp_path_factory.mktemp("weights"), model)
        return made[id(model)]

    return directory


def problems(
    gpu: FakeGPU,
    animator: Animator,
    frames: int,
    gibibytes: float,
    dtype: torch.dtype,
    settings: SamplerSettings = ONE_BRANCH,
) -> list[str]:
    """Encode a portrait and a clip and animate them; return what is wrong."""
    config = animator.config
    crop = np.zeros((config.image_size, config.image_size, 3), np.uint8)
    before = gpu.ledger.live
    gpu.start()
    found: list[str] = []
    try:
        appearance = animator.encode_appearance(
            SimpleNamespace(crop=crop, aligned=np.zeros((112, 112, 3), np.float32))  # type: ignore[arg-type]
        )
        features = torch.zeros(frames, config.refiner.expression), torch.zeros(frames, 3)
        motion = Motion(*features, torch.zeros(-(-frames // config.window), 2, dtype=torch.int64))
        peaks = [gpu.ledger.peak]

        def step(done: int, total: int) -> None:
            """From the end of the first call of the denoiser to that of the last one."""
            ledger = gpu.ledger
            if first[0]:
                first[0] = False
                sizes.append(ledger.live)
            else:
                found.extend(f"{name} copies back" for name in ledger.copied_back)
                found.extend(f"{name} computes in float64" for name in ledger.doubles)
                found.extend(f"products in {kind}" for kind in ledger.products if kind != dtype)
                sizes.append(ledger.live)
            peaks.append(ledger.peak)
            gpu.start()

        first, sizes = [True], list[int]()
        count = sum(1 for _ in animator.animate(appearance, motion, settings, on_progress=step))
        peaks.append(gpu.ledger.peak)
        if count != frames:
            found.append(f"{count} frames")
        if sizes[-1] > sizes[len(sizes) // 3] + 2**20 + sizes[0] // 100:
            found.append("what is alive grows from step to step")
        if max(peaks) > (gibibytes - RUNTIME) * GIB:
            found.append(f"takes {max(peaks) / GIB:.1f} GiB")
        del appearance, motion
        if gpu.ledger.live > before + 2**20:
            found.append("something stays alive")
    except Exception as error:
        found.append(f"{type(error).__name__}: {str(error)[:200]}")
    return list(dict.fromkeys(found))


@pytest.mark.parametrize(
    ("gibibytes", "dtype", "frames", "offload"),
    [
        pytest.param(8, torch.float16, 20, True, marks=pytest.mark.long),
        pytest.param(12, torch.bfloat16, 20, True, marks=pytest.mark.slow),
        pytest.param(24, torch.float16, 60, False, marks=pytest.mark.slow),
        pytest.param(80, torch.bfloat16, 100, False, marks=pytest.mark.long),
    ],
    ids=str,
)
def test_the_released_sizes(
    weights: Callable[[Model], Path],
    monkeypatch: pytest.MonkeyPatch,
    gibibytes: int,
    dtype: torch.dtype,
    frames: int,
    offload: bool,
) -> None:
    with fake_gpu(monkeypatch, gibibytes, (9, 0)) as gpu:
        animator = load(weights(FULL), "cuda:0", str(dtype).removeprefix("torch."))
        monkeypatch.setattr(animator, "_identity", lambda _: torch.zeros(1, 512))
        assert animator.budget.offload == offload
        assert problems(gpu, animator, frames, gibibytes, dtype, SamplerSettings(steps=2)) == []
        assert not offload or gpu.ledger.live < GIB, "networks rest in host memory"


@pytest.fixture
def small(weights: Callable[[Model], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FakeGPU, Animator]]:
    """A tiny model on a GPU so small that networks rest in host memory."""
    with fake_gpu(monkeypatch, 8, (9, 0)) as gpu:
        animator = load(weights(SMALL), "cuda:0", "bfloat16")
        monkeypatch.setattr(animator, "_identity", lambda _: torch.zeros(1, 512))
        yield gpu, animator


@pytest.mark.slow
def test_a_small_model_is_right(small: tuple[FakeGPU, Animator]) -> None:
    gpu, animator = small
    assert problems(gpu, animator, animator.config.window, 8, torch.bfloat16) == []


@pytest.mark.long
def test_motion_is_encoded(small: tuple[FakeGPU, Animator], monkeypatch: pytest.MonkeyPatch) -> None:
    _, animator = small
    size = animator.config.image_size
    crop = SimpleNamespace(face=np.zeros((size, size, 3), np.uint8), head=np.zeros((size, size, 3), np.uint8))
    monkeypatch.setattr(animator_module, "reference_boxes", lambda *_: None)
    monkeypatch.setattr(animator_module, "clip_crops", lambda *_: iter([crop] * 9))
    monkeypatch.setattr(animator_module, "_fill_gaps", lambda values, _: values)
    monkeypatch.setattr(animator_module, "stabilise_keypoints", lambda *_: None)
    monkeypatch.setattr(animator_module, "intensities", lambda *_: np.zeros((2, 2), np.int64))
    motion = animator.encode_motion([], SimpleNamespace(spec=Track), "first")  # type: ignore[arg-type]
    assert len(motion) == 9
    assert motion.expression.device.type == "cpu"


def _replaced(name: str, change: Callable[[Any], Any]) -> Callable[[pytest.MonkeyPatch, Animator], None]:
    """Return a fault: a function of the sampler whose first tensor is changed."""

    def plant(monkeypatch: pytest.MonkeyPatch, animator: Animator) -> None:
        original = getattr(sample_module, name)
        monkeypatch.setattr(sample_module, name, lambda first, *rest: original(change(first), *rest))

    return plant


def _in_float32(monkeypatch: pytest.MonkeyPatch, animator: Animator) -> None:
    layer = next(module for module in animator._networks.denoiser.modules() if isinstance(module, nn.Linear))

    def forward(x: Tensor) -> Tensor:
        bias = layer.bias.float() if layer.bias is not None else None
        return functional.linear(x.float(), layer.weight.float(), bias).to(x.dtype)

    monkeypatch.setattr(layer, "forward", forward)


def _kept(monkeypatch: pytest.MonkeyPatch, animator: Animator) -> None:
    kept: list[Tensor] = []
    original = animator._networks.denoiser.forward

    def forward(*args: Any) -> Tensor:
        kept.extend(original(*args).expand(100, -1, -1, -1, -1, -1).clone() for _ in range(20))
        return original(*args)

    monkeypatch.setattr(animator._networks.denoiser, "forward", forward)


def _argument_on_host(number: int) -> Callable[[pytest.MonkeyPatch, Animator], None]:
    def plant(monkeypatch: pytest.MonkeyPatch, animator: Animator) -> None:
        original = animator._networks.denoiser.forward

        def forward(*args: Any) -> Any:
            return original(*args[:number], args[number].cpu(), *args[number + 1 :])

        monkeypatch.setattr(animator._networks.denoiser, "forward", forward)

    return plant


FAULTS: dict[str, Callable[[pytest.MonkeyPatch, Animator], None]] = {
    "pose left on the host": lambda m, a: m.setattr(a, "_pose", a._pose.cpu()),
    "time left on the host": _argument_on_host(1),
    "motion left on the host": lambda m, a: m.setattr(a, "_refine", lambda _, refine=a._refine: refine(_).cpu()),
    "network left on the host": lambda m, _: m.setattr(animator_module, "on_device", _nothing),
    "noise stays on the host": _replaced("scale_model_input", lambda noisy: noisy.cpu()),
    "a value of every step": _replaced("euler_step", lambda noisy: noisy * noisy.max().item()),
    "a copy back in every step": _replaced("euler_step", lambda noisy: noisy.cpu().to(noisy.device)),
    "counting by bincount": lambda m, _: m.setattr(
        sample_module, "frame_counts", lambda indices, frames: torch.bincount(indices.flatten(), minlength=frames)
    ),
    "choosing by values": _replaced("euler_step", lambda noisy: noisy + noisy[noisy > 0].sum()),
    "float64": _replaced("scale_model_input", lambda noisy: noisy.double().float()),
    "float32 in a layer": _in_float32,
    "steps kept alive": _kept,
}


class _nothing:
    """Moves no network."""

    def __init__(self, *_: Any) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *_: Any) -> None: ...


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_found(small: tuple[FakeGPU, Animator], monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    gpu, animator = small
    FAULTS[fault](monkeypatch, animator)
    assert problems(gpu, animator, animator.config.window, 8, torch.bfloat16)
