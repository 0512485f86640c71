"""The machine of a benchmark: its description, its peak rate, a process' memory."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import psutil

from troupe import __version__

if TYPE_CHECKING:
    import torch  # imported where it is used: not every benchmark's processes need it

__all__ = ["describe", "isolated", "matrix_rate", "peak_memory", "resident", "synchronise"]

P = ParamSpec("P")
T = TypeVar("T")

MATRIX_SIDE = {"cpu": 2048, "cuda": 8192}
"""Side of the matrices that measure a device's peak rate; larger ones are no faster."""
MATRIX_RUNS = 12


def describe() -> dict[str, str | int | float | None]:
    """Describe hardware and software; `load` is the load average of the last minute."""
    import torch

    gpu = torch.cuda.get_device_properties(0) if torch.cuda.is_available() else None
    return {
        "system": platform.platform(terse=True),
        "cpu": _cpu(),
        "cores": len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_bytes": psutil.virtual_memory().total,
        "gpu": gpu.name if gpu else None,
        "gpu_memory_bytes": gpu.total_memory if gpu else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "troupe": __version__,
        "load": round(os.getloadavg()[0], 1),
    }


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Measure operations per second of a large matrix product, a multiply-add being two: the best of several runs.

    Args:
        dtype: number type of the matrices.
    """
    import torch

    side = MATRIX_SIDE[device.type]
    generator = torch.Generator(device).manual_seed(0)
    a, b = (torch.randn(side, side, device=device, generator=generator).to(dtype) for _ in range(2))
    torch.mm(a, b)
    seconds = []
    for _ in range(MATRIX_RUNS):
        synchronise(device)
        started = time.perf_counter()
        torch.mm(a, b)
        synchronise(device)
        seconds.append(time.perf_counter() - started)
    return 2 * side**3 / min(seconds)


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished all queued work."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def peak_memory() -> int:
    """Return this process' peak resident memory in bytes, mapped files included."""
    status = _status()
    if "VmHWM" in status:
        return status["VmHWM"]
    import resource

    # Not on Linux, where a process inherits its parent's figure. The unit is bytes on macOS only.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)


def resident() -> int:
    """Return this process' resident memory in bytes, mapped files included."""
    return int(psutil.Process().memory_info().rss)


def isolated(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a module-level function in a fresh process, with cold caches and no memory in use."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def _status() -> dict[str, int]:
    """Return the sizes in /proc/self/status in bytes; empty where there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return {}
    words = (line.split() for line in lines if line.endswith(" kB"))
    return {name.rstrip(":"): int(size) * 1024 for name, size, _ in words}


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
