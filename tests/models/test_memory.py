"""GPU memory of the full model, computed with fake tensors: 12 and 24 GB suffice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import finalize

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.support.random_weights import FULL, parts
from models.autoencoder import autoencoder_for, decode
from models.denoiser import Denoiser
from models.runtime.device import GIB, gpu_budget
from models.sampler import fitting_windows, window_bytes
from troupe import SamplerSettings

CONFIG, HALF = FULL.config, torch.bfloat16
OVERHEAD = 1.5 * GIB
"""Bytes for the CUDA context, workspaces of libraries, and fragmentation."""


class Live(TorchDispatchMode):
    """Counts the bytes of tensors that are created inside it, and their peak."""

    def __init__(self, *known: nn.Module) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known = {value.untyped_storage()._cdata for module in known for value in module.parameters()}

    def __torch_dispatch__(self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage()._cdata not in self._known:
                self._born(tensor.untyped_storage())
        return made

    def _born(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        finalize(storage, self._died, key, size)

    def _died(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


@contextmanager
def half_precision() -> Iterator[None]:
    torch.set_default_dtype(HALF)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def decoding() -> int:
    """Peak bytes of decoding a chunk."""
    with half_precision(), FakeTensorMode(), torch.inference_mode():
        vae = autoencoder_for(CONFIG.vae).requires_grad_(False)
        with Live(vae) as live:
            decode(vae, torch.empty(SamplerSettings().decode_chunk, 4, CONFIG.latent_size, CONFIG.latent_size))
    return live.peak


def weights(*names: str) -> int:
    """Return the bytes of networks on the device: those that run at every step in half precision, others in float32."""
    size = {HALF: 2, torch.float32: 4}
    found = {name.split("/")[1]: module for name, module in parts(FULL).items()}
    half = {"unet", "pose_guider", "diffusion_pytorch_model"}
    chosen = {name.split(".")[0]: module for name, module in found.items()}
    return sum(
        size[HALF if name in half else torch.float32] * sum(p.numel() for p in module.parameters())
        for name, module in chosen.items()
        if not names or name in names
    )


@pytest.mark.parametrize("count", [1, 2])
def test_window_bytes_is_close_to_the_peak(count: int) -> None:
    side, window, width = CONFIG.latent_size, CONFIG.window, CONFIG.unet.cross_attention_dim
    with half_precision(), FakeTensorMode(), torch.inference_mode():
        denoiser = Denoiser(CONFIG.unet).requires_grad_(False)
        tokens = torch.empty(window * count, CONFIG.refiner.latents, width)
        motion = denoiser.project_motion(tokens, 2**62).of(torch.arange(window * count).view(count, window))
        appearance = denoiser.project_appearance(torch.empty(CONFIG.appearance.tokens, width))
        sample = torch.empty(count, window, 8, side, side)
        pose = torch.empty(CONFIG.unet.block_out_channels[0], side, side)
        with Live(denoiser) as live:
            denoiser(sample, torch.empty(1), torch.empty(1, 3), pose, (appearance, motion))
    assert 0.6 <= live.peak / (count * window_bytes(CONFIG, HALF)) <= 1


def test_24_gb_suffice_for_everything_at_once(decoding: int) -> None:
    budget = gpu_budget(24 * GIB)
    assert not budget.offload
    windows = fitting_windows(CONFIG, HALF, budget.activations) * window_bytes(CONFIG, HALF)
    assert weights() + budget.motion + max(windows, decoding) + OVERHEAD <= 24 * GIB


@pytest.mark.parametrize("size", [8, 12])
def test_12_gb_suffice_for_the_networks_in_use(size: int, decoding: int) -> None:
    budget = gpu_budget(size * GIB)
    assert budget.offload
    windows = fitting_windows(CONFIG, HALF, budget.activations) * window_bytes(CONFIG, HALF)
    assert weights("unet", "motion_proj") + budget.motion + windows + OVERHEAD <= size * GIB
    assert weights("diffusion_pytorch_model") + decoding + OVERHEAD <= size * GIB
    assert weights("dino", "image_proj") + OVERHEAD <= size * GIB
