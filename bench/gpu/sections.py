"""The sections of the page: speed, number types, memory, video encoders, and one process per GPU."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from bench.gpu.renders import psnr, render, render_time
from bench.models import sampler
from bench.models.sampler import CONFIGURATIONS
from bench.support.machine import isolated
from bench.support.report import Case, Check, Findings, log
from models.runtime.device import GIB
from tasks.media.decoder import decode
from tasks.media.encoder import encode
from tasks.media.output_formats import ENCODER, h264, has_nvenc
from troupe import SamplerSettings
from troupe.errors import OutOfMemory
from troupe.faces import Picture

__all__ = ["SECTIONS", "NotRun", "Setup", "setup_for"]

BUDGETS = (6.0, 8.0, 12.0, 24.0, 80.0)
"""GiB that the model may use, as `--gpu-memory`."""
CONTEXT_GIB = 0.5
"""GiB that CUDA itself takes, beside what torch allocates."""
CLIP = 250
"""Frames of the clip that the video encoders get."""
SIDE = 512


class NotRun(Exception):
    """A section cannot run on this machine; the message says why."""


@dataclass(frozen=True)
class Setup:
    """What the sections share.

    Attributes:
        directory: weights directory of random values.
        config: configuration of `bench.models.sampler`.
        device: device to measure.
        frames: length of the clips of all sections but the speed's.
        settings: sampler settings of these clips.
    """

    directory: Path
    config: str
    device: str
    frames: int
    settings: SamplerSettings

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return torch.device(self.device).type == "cuda"

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The number types that the device computes in, except float32."""
        return ("float16", "bfloat16") if self.on_gpu else ("bfloat16",)


def speed(setup: Setup) -> Findings:
    """Frames per second by number type and length, eager and compiled."""
    options = ["--config", setup.config, "--device", setup.device, "--runs", "1" if setup.on_gpu else "2"]
    arguments: Namespace = sampler.parser().parse_args(options)
    return sampler.measure(arguments)


def number_types(setup: Setup) -> Findings:
    """How far 16 bits are from float32, in PSNR of the finished frames, and their speed."""
    exact = isolated(render, setup.directory, setup.device, "float32", setup.frames, setup.settings)
    cases = {"float32": Case({"seconds": exact.seconds, "peak_bytes": exact.peak})}
    for dtype in setup.dtypes:
        log(f"rendering in {dtype}")
        made = isolated(render, setup.directory, setup.device, dtype, setup.frames, setup.settings)
        difference = np.abs(made.frames.astype(np.int16) - exact.frames)
        cases[dtype] = Case(
            {
                "seconds": made.seconds,
                "peak_bytes": made.peak,
                "psnr_to_float32": psnr(made.frames, exact.frames),
                "mean_difference": float(difference.mean()),
                "largest_difference": int(difference.max()),
            }
        )
    return Findings(cases, {})


def memory(setup: Setup) -> Findings:
    """Peak memory and speed by what the model may use; less memory must give the same frames but for rounding.

    Raises:
        NotRun: the device is not a GPU.
    """
    if not setup.on_gpu:
        raise NotRun("a CPU has no GPU memory")
    total = torch.cuda.get_device_properties(torch.device(setup.device)).total_memory / GIB
    cases: dict[str, Case] = {}
    checks: dict[str, Check] = {}
    whole = isolated(render, setup.directory, setup.device, setup.dtypes[0], setup.frames, setup.settings)
    cases["all"] = Case({"seconds": whole.seconds, "peak_bytes": whole.peak})
    for budget in (budget for budget in BUDGETS if budget < total):
        log(f"rendering in {budget:g} GiB")
        name = f"{budget:g} GiB"
        try:
            made = isolated(
                render, setup.directory, setup.device, setup.dtypes[0], setup.frames, setup.settings, budget
            )
        except OutOfMemory as error:
            cases[name] = Case({"error": str(error)})
            continue
        assert made.peak is not None
        cases[name] = Case(
            {"seconds": made.seconds, "peak_bytes": made.peak, "psnr_to_all": psnr(made.frames, whole.frames)}
        )
        checks[f"peak_gib_in_{budget:g}_gib"] = Check.at_most(made.peak / GIB, budget - CONTEXT_GIB)
    return Findings(cases, checks)


def encoders(setup: Setup) -> Findings:
    """Frames per second, size and PSNR of the video encoders at quality 18, through the encoder that renders use.

    Raises:
        NotRun: ffmpeg cannot use NVENC here.
    """
    if not has_nvenc():
        raise NotRun("ffmpeg cannot encode with NVENC on this machine")
    picture = list(_moving_picture())
    cases: dict[str, Case] = {}
    for name in ("x264", "nvenc"):
        path = setup.directory.parent / f"{name}.mp4"
        with _encoder(name):
            chosen = h264(size=(SIDE, SIDE))
            started = time.perf_counter()
            encode(picture, path, rate=Fraction(25), size=(SIDE, SIDE), video_format=chosen)
            seconds = time.perf_counter() - started
        decoded = np.stack(list(decode(path)))
        cases[name] = Case(
            {
                "frames_per_second": CLIP / seconds,
                "file_bytes": path.stat().st_size,
                "psnr": psnr(decoded, np.stack(picture)),
            }
        )
    return Findings(cases, {})


def processes(setup: Setup) -> Findings:
    """One process per GPU, alone and all at once: whether a second GPU doubles the work done.

    Raises:
        NotRun: there are fewer than two GPUs.
    """
    devices = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if setup.on_gpu else ["cpu"]
    if len(devices) < 2:
        raise NotRun("there are fewer than two GPUs")
    alone = [_seconds(setup, device) for device in devices]
    with ThreadPoolExecutor(len(devices)) as threads:
        together = list(threads.map(lambda device: _seconds(setup, device), devices))
    cases = {
        device: Case({"alone_seconds": first, "together_seconds": second})
        for device, first, second in zip(devices, alone, together, strict=True)
    }
    return Findings(cases, {"slowest_over_alone": Check.at_most(max(together) / max(alone), 1.1)})


SECTIONS: Mapping[str, Callable[[Setup], Findings]] = {
    "speed": speed,
    "number-types": number_types,
    "memory": memory,
    "encoders": encoders,
    "processes": processes,
}
"""The sections by name, in the page's order."""


def setup_for(directory: Path, config: str, device: str, frames: int, steps: int) -> Setup:
    """Return what the sections share; the padding is that of the configuration."""
    padding = CONFIGURATIONS[config].settings
    return Setup(
        directory=directory,
        config=config,
        device=device,
        frames=frames,
        settings=SamplerSettings(steps=steps, padding=padding.padding, overlap=padding.overlap),
    )


def _seconds(setup: Setup, device: str) -> float:
    return isolated(render_time, setup.directory, device, setup.dtypes[0], setup.frames, setup.settings)


def _moving_picture() -> Iterator[Picture]:
    """Yield smooth colours that move, with some grain, as a face before a plain wall."""
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    noise = np.random.default_rng(0)
    for frame in range(CLIP):
        phase = 2 * np.pi * frame / 50
        waves = [np.sin(2 * np.pi * (rows + shift * columns) + phase) for shift in (0.5, 1.0, 1.5)]
        picture = 127 + 90 * np.stack(waves, axis=-1) + noise.normal(0, 2, (SIDE, SIDE, 1))
        yield picture.clip(0, 255).astype(np.uint8)


@contextmanager
def _encoder(name: str) -> Iterator[None]:
    """Set the H.264 encoder that is used in the `with` block."""
    before = os.environ.get(ENCODER)
    os.environ[ENCODER] = name
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(ENCODER)
        else:
            os.environ[ENCODER] = before
