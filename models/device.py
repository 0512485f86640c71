"""What the machine is good at: device, numbers' type, and how much memory the sampler may take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

from troupe.errors import OutOfMemory, SettingsError

__all__ = ["DTYPES", "Budget", "budget_of", "guarded", "memory_errors", "pick_device", "pick_dtype"]

T = TypeVar("T")
GIB = 2**30

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Budget:
    """Bytes that the sampler may take beside weights and latents.

    Attributes:
        motion: for a clip's keys and values.
        activations: for the windows that go through the denoiser together.
    """

    motion: int
    activations: int


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
    """The type of that name; `auto` is bfloat16 on a GPU that has it, float16 on an older one, float32 on a CPU.

    Raises:
        SettingsError: no such type, or float16 on a CPU, where it is a hundred times slower than float32.
    """
    if name == "auto":
        if device.type == "cpu":
            return torch.float32
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16
    if name not in DTYPES:
        raise SettingsError(f"no number type {name!r}; use auto, {', '.join(DTYPES)}")
    if device.type == "cpu" and name == "float16":
        raise SettingsError("float16 on a CPU is a hundred times slower than float32; use auto, bfloat16 or float32")
    return DTYPES[name]


def budget_of(device: torch.device) -> Budget:
    """An eighth of a GPU's memory for motion and a quarter for activations; on a CPU, whose memory is shared by several
    workers, 0.5 and 1 GiB."""
    if device.type == "cpu":
        return Budget(motion=GIB // 2, activations=GIB)
    total = torch.cuda.get_device_properties(device).total_memory
    return Budget(motion=total // 8, activations=total // 4)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn torch's complaint that the device's memory does not suffice into ours.

    Raises:
        OutOfMemory: instead of `torch.OutOfMemoryError`.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(f"the GPU's memory does not suffice: {str(error).splitlines()[0]}") from error


def guarded(items: Iterable[T]) -> Iterator[T]:
    """`items`, made under `memory_errors`."""
    source = iter(items)
    while True:
        with memory_errors():
            try:
                item = next(source)
            except StopIteration:
                return
        yield item
