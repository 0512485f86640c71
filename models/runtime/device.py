"""Device, dtype and memory budget of the animator, and translation of out-of-memory errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from troupe.errors import OutOfMemory, SettingsError

__all__ = ["DTYPES", "Budget", "memory_budget", "pick_device", "pick_dtype", "translate_oom"]

MIB, GIB = 2**20, 2**30

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

OFFLOAD_BELOW = 16 * GIB
"""GPUs with less memory hold only the networks in use: at the released sizes all of them take 4.7 GiB together,
and decoding a chunk of 8 frames takes another 4."""


@dataclass(frozen=True)
class Budget:
    """Memory that the animator may use on a device, latents aside. It affects results only by rounding.

    Attributes:
        motion: bytes for the keys and values of a clip's motion.
        activations: bytes for the windows of one denoiser call.
        offload: whether networks that are not in use are kept in host memory.
    """

    motion: int
    activations: int
    offload: bool = False

    def shrunk(self, least: int) -> Budget | None:
        """Return the next smaller budget, None if nothing is left to give up.

        Args:
            least: bytes of activations of a single window.
        """
        if self.activations > least:
            return replace(self, activations=self.activations // 2)
        if self.motion:
            return replace(self, motion=0)
        return None if self.offload else replace(self, offload=True)


def pick_device(name: str) -> torch.device:
    """Return the device of this name; `auto` selects a GPU if there is one.

    Raises:
        SettingsError: the device does not exist or is not supported.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingsError(f"invalid device {name!r}; use auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise SettingsError(
            f"device {name} not found: torch sees {torch.cuda.device_count()} GPUs; run `troupe doctor` for details"
        )
    if device.type not in ("cpu", "cuda"):
        raise SettingsError(f"device {name} is not supported; use auto, cpu, cuda or cuda:N")
    return device


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype of this name; `auto` selects bfloat16 where the hardware supports it, else float16 on a GPU and
    float32 on a CPU.

    Raises:
        SettingsError: the dtype is invalid, or is float16 on a CPU, where it is a hundred times slower than float32.
    """
    if name == "auto":
        if device.type == "cpu":
            return torch.bfloat16 if _cpu_has_bfloat16() else torch.float32
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16
    if name not in DTYPES:
        raise SettingsError(f"invalid dtype {name!r}; use auto, {', '.join(DTYPES)}")
    if device.type == "cpu" and name == "float16":
        raise SettingsError("float16 on a CPU is a hundred times slower than float32; use auto, bfloat16 or float32")
    return DTYPES[name]


def _cpu_has_bfloat16() -> bool:
    """Whether the CPU has bfloat16 multiplication: without it, bfloat16 is slower than float32."""
    has = torch.cpu.get_capabilities()
    return bool(has.get("amx_bf16") or has.get("avx512_bf16"))


def memory_budget(device: torch.device, gpu_memory: float | None = None) -> Budget:
    """Return the memory budget: an eighth of a GPU's memory for motion and a quarter for activations.

    On a CPU it is 64 and 192 MiB for every clip: several workers share its memory, and larger batches are no faster.

    Args:
        gpu_memory: GiB of the GPU that this process may use; None for all.

    Raises:
        SettingsError: the GPU has less memory than that.
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
    return gpu_budget(total)


def gpu_budget(total: int) -> Budget:
    """Return the budget of a GPU with `total` bytes of memory."""
    return Budget(motion=total // 8, activations=total // 4, offload=total < OFFLOAD_BELOW)


@contextmanager
def translate_oom() -> Iterator[None]:
    """Raise torch's out-of-memory errors as `OutOfMemory`.

    Raises:
        OutOfMemory: instead of `torch.OutOfMemoryError`.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(f"the GPU ran out of memory: {str(error).splitlines()[0]}") from error
