"""What the machine is good at: device, numbers' type, and how much memory the animator may take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import torch

from troupe.errors import OutOfMemory, SettingsError

__all__ = ["DTYPES", "Budget", "budget_of", "oom_guarded", "pick_device", "pick_dtype", "translate_oom"]

T = TypeVar("T")
MIB, GIB = 2**20, 2**30

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

ROOMY = 16 * GIB
"""A GPU with less holds only the networks that are at work: at the released sizes all of them take 4.7 GiB together,
and decoding a chunk of 8 frames takes another 4."""


@dataclass(frozen=True)
class Budget:
    """What the animator may take of a device, beside latents. None of it changes a result, but for rounding.

    Attributes:
        motion: bytes for a clip's keys and values.
        activations: bytes for the windows that go through the denoiser together.
        resting: whether networks that are not at work wait in the computer's own memory.
    """

    motion: int
    activations: int
    resting: bool = False

    def smaller(self, least: int) -> Budget | None:
        """The next one to try where this was too much; None when there is nothing left to give up.

        Args:
            least: bytes of activations that a single window takes.
        """
        if self.activations > least:
            return replace(self, activations=self.activations // 2)
        if self.motion:
            return replace(self, motion=0)
        return None if self.resting else replace(self, resting=True)


def pick_device(name: str) -> torch.device:
    """The device of that name; `auto` is a GPU if there is one.

    Raises:
        SettingsError: there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingsError(f"no device {name!r}; use auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise SettingsError(
            f"there is no {name}: torch sees {torch.cuda.device_count()} GPUs; `troupe doctor` says more"
        )
    if device.type not in ("cpu", "cuda"):
        raise SettingsError(f"{name} is not supported; use auto, cpu, cuda or cuda:N")
    return device


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """The type of that name; `auto` is bfloat16 where the device computes in it, else float16 on a GPU and float32 on a
    CPU.

    Raises:
        SettingsError: no such type, or float16 on a CPU, where it is a hundred times slower than float32.
    """
    if name == "auto":
        if device.type == "cpu":
            return torch.bfloat16 if _cpu_has_bfloat16() else torch.float32
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16
    if name not in DTYPES:
        raise SettingsError(f"no number type {name!r}; use auto, {', '.join(DTYPES)}")
    if device.type == "cpu" and name == "float16":
        raise SettingsError("float16 on a CPU is a hundred times slower than float32; use auto, bfloat16 or float32")
    return DTYPES[name]


def _cpu_has_bfloat16() -> bool:
    """Whether the processor has instructions for products of bfloat16: without them it is slower than float32."""
    has = torch.cpu.get_capabilities()
    return bool(has.get("amx_bf16") or has.get("avx512_bf16"))


def budget_of(device: torch.device, gpu_memory: float | None = None) -> Budget:
    """Of a GPU's memory, an eighth for motion and a quarter for activations.

    On a CPU 64 and 192 MiB, whatever the clip: its memory is shared by several workers, and larger batches are no
    faster there.

    Args:
        gpu_memory: GiB that this process may take of the GPU; all of it if not given.

    Raises:
        SettingsError: the GPU has less.
    """
    if device.type == "cpu":
        return Budget(motion=64 * MIB, activations=192 * MIB)
    total = torch.cuda.get_device_properties(device).total_memory
    if gpu_memory is not None:
        if not 0 < gpu_memory * GIB <= total:
            raise SettingsError(f"--gpu-memory {gpu_memory:g}: the GPU has {total / GIB:.1f} GiB")
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.set_per_process_memory_fraction(gpu_memory * GIB / total, index)
        total = int(gpu_memory * GIB)
    return share_out(total)


def share_out(total: int) -> Budget:
    """The budget of a GPU with `total` bytes of memory."""
    return Budget(motion=total // 8, activations=total // 4, resting=total < ROOMY)


@contextmanager
def translate_oom() -> Iterator[None]:
    """Turn torch's complaint that the device's memory does not suffice into ours.

    Raises:
        OutOfMemory: instead of `torch.OutOfMemoryError`.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(f"the GPU's memory does not suffice: {str(error).splitlines()[0]}") from error


def oom_guarded(items: Iterable[T]) -> Iterator[T]:
    """`items`, made under `translate_oom`."""
    source = iter(items)
    while True:
        with translate_oom():
            try:
                item = next(source)
            except StopIteration:
                return
        yield item
