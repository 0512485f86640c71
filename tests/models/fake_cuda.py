"""A GPU that computes nothing: torch's fake tensors on the device `cuda` find out what code would do on one.

Fake tensors have shape, dtype and device and no values. Operations on tensors of different devices raise, and values
that the program would have to wait for cannot be had.
"""

from __future__ import annotations

import ctypes
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_iter

from bench.support.random_weights import Model, parts
from models.miniature.build_recogniser import build_recogniser
from models.weights import checkpoint, recogniser_file

__all__ = ["FakeGPU", "Ledger", "fake_gpu", "write_empty_weights"]

T = TypeVar("T")
GIB = 2**30
sample_module = import_module("models.sampler.sample")  # the package has a function of this name
_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64"}


def write_empty_weights(directory: Path, model: Model) -> Path:
    """Write a weights directory whose files have the right sizes and no blocks on disk: all values are 0."""
    for stem, module in parts(model).items():
        header: dict[str, Any] = {}
        end = 0
        for name, shaped in module.state_dict().items():
            dtype = model.stored if shaped.is_floating_point() else shaped.dtype
            start, end = end, end + shaped.numel() * dtype.itemsize
            header[name] = {"dtype": _NAMES[dtype], "shape": list(shaped.shape), "data_offsets": [start, end]}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        path = directory / f"{stem}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(8 + len(text) + end)
    model.config.write(directory)
    onnx.save(build_recogniser(0, model.config.appearance.identity), recogniser_file(directory))
    return directory


@dataclass
class Ledger:
    """What was done on the GPU.

    Attributes:
        launches: number of operations, by name.
        products: number of matrix products, convolutions and attentions, by dtype.
        copied_back: operations that copied from the GPU to the host.
        doubles: operations with float64 results.
        live: bytes of tensors on the GPU that are alive now.
        peak: most bytes that were alive at once.
    """

    launches: Counter[str] = field(default_factory=Counter)
    products: Counter[torch.dtype] = field(default_factory=Counter)
    copied_back: list[str] = field(default_factory=list)
    doubles: list[str] = field(default_factory=list)
    live: int = 0
    peak: int = 0


class _Watch(TorchDispatchMode):
    """Keeps a ledger of what is done."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self._settled: dict[int, tuple[StorageWeakRef, int]] = {}  # was there at the start, such as weights
        self._recent: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        ledger, name = self.ledger, func.overloadpacket.__name__
        given = [value for value in tree_iter((args, kwargs)) if isinstance(value, Tensor)]
        made = [value for value in tree_iter(result) if isinstance(value, Tensor)]
        if any(value.device.type == "cuda" for value in made):
            ledger.launches[name] += 1
        if any(v.device.type == "cuda" for v in given) and any(v.device.type == "cpu" for v in made):
            ledger.copied_back.append(name)
        if any(value.device.type == "cuda" and value.dtype == torch.float64 for value in made):
            ledger.doubles.append(name)
        if name in _PRODUCTS and made[0].device.type == "cuda":  # whole, as nothing is recorded for gradients
            ledger.products[made[0].dtype] += 1
        self._follow(made)
        return result

    def settle(self) -> None:
        """Take everything that was freed off the ledger."""
        self._settled |= self._recent
        self._recent = {}
        self._forget_dead(self._settled)

    def _forget_dead(self, storages: dict[int, tuple[StorageWeakRef, int]]) -> None:
        for key in [key for key, (reference, _) in storages.items() if reference.expired()]:
            self.ledger.live -= storages.pop(key)[1]

    def _follow(self, made: list[Tensor]) -> None:
        for value in made:
            if value.device.type != "cuda":
                continue
            reference = StorageWeakRef(value.untyped_storage())
            if reference.cdata not in self._recent and reference.cdata not in self._settled:
                size = value.untyped_storage().nbytes()
                self._recent[reference.cdata] = reference, size
                self.ledger.live += size
        if self.ledger.live > self.ledger.peak:  # as far as is known: looking for what was freed takes time
            self._forget_dead(self._recent)
            if self.ledger.live > self.ledger.peak:
                self._forget_dead(self._settled)
            self.ledger.peak = max(self.ledger.peak, self.ledger.live)


_PRODUCTS = {"linear", "matmul", "mm", "bmm", "addmm", "baddbmm", "conv1d", "conv2d", "conv3d", "convolution"} | {
    "scaled_dot_product_attention"
}


@dataclass
class FakeGPU:
    """The fake GPU.

    Attributes:
        mode: torch's mode.
        watch: keeps the ledger.
    """

    mode: FakeTensorMode
    watch: _Watch

    @property
    def ledger(self) -> Ledger:
        """What was done since the last `start`."""
        self.watch.settle()
        return self.watch.ledger

    def start(self) -> None:
        """Start a new ledger, with what is alive."""
        self.watch.settle()
        self.watch.ledger = Ledger(live=self.watch.ledger.live, peak=self.watch.ledger.live)


def _guard_devices() -> None:
    """Give a build of torch without CUDA the device guard of meta tensors, which does nothing, for CUDA's devices.

    Operations enter the guard of their device even where nothing is computed. Torch itself replaces the guard of its
    CUDA builds on machines without a GPU in the same way.
    """
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
    guards = (ctypes.c_void_p * 22).in_dll(library, "_ZN3c104impl26device_guard_impl_registryE")
    cuda, meta = 1, 14  # of c10::DeviceType
    guards[cuda] = guards[cuda] or guards[meta]


def _for_real(function: Callable[..., T]) -> Callable[..., T]:
    """Return a function that computes with real tensors in the middle of fake ones."""

    def call(*args: Any, **kwargs: Any) -> T:
        with _disable_current_modes():
            result = function(*args, **kwargs)
        torch._C._set_only_lift_cpu_tensors(True)  # as the mode does when it is entered, and not when it comes back
        return result

    return call


@contextmanager
def fake_gpu(monkeypatch: pytest.MonkeyPatch, gibibytes: float, capability: tuple[int, int]) -> Iterator[FakeGPU]:
    """Pretend that there is a GPU, for the length of the `with` block."""
    _guard_devices()
    mode, watch = FakeTensorMode(allow_non_fake_inputs=True), _Watch()  # before there seems to be a GPU
    properties = SimpleNamespace(total_memory=int(gibibytes * GIB), name="fake")
    for name, value in {
        "is_available": True,
        "device_count": 1,
        "current_device": 0,
        "get_device_properties": properties,
        "get_device_capability": capability,
        "set_per_process_memory_fraction": None,
        "empty_cache": None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)

    def read(path: Path) -> Iterator[tuple[str, Tensor]]:
        for name, value in _for_real(lambda: dict(checkpoint.iter_tensors(path)))().items():
            yield name, mode.from_tensor(value)

    monkeypatch.setattr("models.weights.inspection.iter_tensors", read)
    monkeypatch.setattr("models.weights.loading.iter_tensors", read)
    # Values that the host computes for itself.
    monkeypatch.setattr(sample_module, "plan_steps", _for_real(sample_module.plan_steps))
    monkeypatch.setattr(Tensor, "tolist", _for_real(Tensor.tolist))
    # Which takes its device from the guard.
    monkeypatch.setattr(Tensor, "new_tensor", lambda self, data: torch.tensor(data, dtype=self.dtype).to(self.device))
    monkeypatch.setattr(Tensor, "numpy", lambda self: np.zeros(tuple(self.shape), np.uint8))
    with mode, watch:
        yield FakeGPU(mode, watch)
