"""Share of the time in which a GPU would compute, with a stand-in for the animator that sleeps as long as a GPU takes.

A whole run, from the request to the manifest, with Ray actors and a store in a folder. Everything but the networks is
real, at 512x512: tracking, crops, paste-back, quality measures, video encoding, sound, verified writes. The stand-in
sleeps for each frame, in as many calls as the sampler has steps; 4% of it to decode, as in the released model. Its
frames are drawn once for each portrait, and its encoders of motion take no time, so that the cores do only what they
do beside a GPU. The share is the frames' time at the stand-in's rate over the time from the first call to the last, so
that waiting of every kind counts against it, and so does a sleep that ends late. Each case runs in a fresh process.
"""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import psutil
import torch
from PIL import Image
from torch import Tensor

from bench.support.machine import isolated, peak_memory
from bench.support.report import Case, Check, Findings, log, main, make_parser, positive_int
from catalogs.store.store import open_store
from catalogs.table.manifest import read_manifest
from flows.observe.progress import Listeners
from flows.steps import execute
from models.animator import Animator
from models.appearance import Appearance
from models.faces import Portrait
from models.miniature import FIRST_HELD_OUT_SEED, SHIPPED_WEIGHTS
from models.motion import Motion
from models.runtime.turns import Turns
from models.synthetic.world import draw_clip, draw_portrait
from tasks import media
from tasks.media import VideoMetadata
from tasks.pool import Role
from tasks.pool.ray_pool import set_ray_environment
from tasks.run import run as run_module
from tasks.run.request import Request
from tasks.run.worker_roles import ITEMS_PER_GPU, PREPROCESS, READY_PER_RENDER_WORKER, RENDER
from tasks.steps.context import WorkerConfig
from tasks.steps.workers import PreprocessWorker, RenderWorker
from troupe import Picture, SamplerSettings
from troupe.faces import Floats
from troupe.process.scratch import scratch_folder

__all__ = ["StandIn", "StandInWorker", "Timing", "measure", "parser", "run_jobs"]

SIDE, FPS = 512, 25
DECODE_SHARE = 0.04
"""Share of a frame's work that is decoding: 3.0 of 75.8 TFLOP at 250 frames."""
TARGETS = {25.0: 0.97, 60.0: 0.9}
"""Share that is to be reached, by frames per second of the stand-in."""
PORTRAITS = 8
SWAY = 8
"""Pixels by which frames show the portrait to the left and to the right."""
STAGES = ("denoise", "vae", "fetch", "decode", "paste", "encode_video", "put")


class Instant(torch.nn.Module):
    """Stands for a network that a GPU runs in no time.

    Args:
        output: returns what the network does, given the number of frames.
    """

    def __init__(self, output: Callable[[int], Any]) -> None:
        super().__init__()
        self._output = output

    def forward(self, frames: Tensor) -> Any:
        """Return the output for a batch of frames."""
        return self._output(len(frames))


class StandIn(Animator):
    """Takes as long as a GPU of a given speed to animate, and leaves the cores alone; its frames show the portrait.

    Args:
        model: encodes portraits and motion.
        rate: frames per second.
        log: file that gets a line per call: start, end, and the peak memory of this process.
    """

    def __init__(self, model: Animator, rate: float, log: Path) -> None:
        self.__dict__.update(model.__dict__)
        self.config = replace(model.config, image_size=SIDE)
        size = model.config.refiner.expression
        self._networks = replace(
            model._networks,
            expression=Instant(lambda count: torch.ones(count, size)),
            headpose=Instant(lambda count: (torch.zeros(count, 3), None)),
        )
        self._model, self._rate, self._calls = model, rate, log.open("a", buffering=1)
        self._model._turns = Turns()
        self._shown: dict[float, list[Picture]] = {}

    def encode_appearance(self, portrait: Portrait) -> Appearance:
        """Encode the portrait in the miniature's size, without a turn at the device, and draw what frames show."""
        appearance = self._model.encode_appearance(replace(portrait, crop=_resized(portrait.crop, self._side)))
        shown = [np.roll(portrait.crop, offset, 1) for offset in range(-SWAY, SWAY + 1)]
        self._shown[_key(appearance.latents)] = shown
        return appearance

    def identify(self, aligned: Floats) -> Tensor:
        """Return the identity vector."""
        return self._model.identify(aligned)

    @property
    def _side(self) -> int:
        return self._model.config.image_size

    def _denoise(
        self, appearance: Appearance, motion: Motion, settings: SamplerSettings, on_progress: Callable[[int, int], None]
    ) -> Tensor:
        frames = len(motion.rotation)
        for step in range(settings.steps):
            self._compute((1 - DECODE_SHARE) * frames / settings.steps)
            on_progress((step + 1) * frames, settings.steps * frames)
        return appearance.latents.expand(frames, -1, -1, -1)

    def _decode(self, latents: Tensor, settings: SamplerSettings) -> Iterator[Picture]:
        shown = self._shown[_key(latents[0])]
        for start in range(0, len(latents), settings.decode_chunk):
            chunk = range(start, min(start + settings.decode_chunk, len(latents)))
            self._compute(DECODE_SHARE * len(chunk))
            yield np.stack([shown[SWAY + round(SWAY * np.sin(index / 9))] for index in chunk])

    def _compute(self, frames: float) -> None:
        started = time.time()
        time.sleep(frames / self._rate)
        self._calls.write(json.dumps((started, time.time(), peak_memory())) + "\n")


class StandInWorker(RenderWorker):
    """Renders with a stand-in.

    Args:
        rate, log: see `StandIn`.
    """

    def __init__(self, config: WorkerConfig, rate: float, log: Path) -> None:
        super().__init__(config)
        self.context.__dict__["animator"] = StandIn(self.context.animator, rate, log)


@dataclass(frozen=True)
class Timing:
    """One run.

    Attributes:
        seconds: seconds from the stand-in's first call to the end of its last.
        frames: number of frames rendered.
        memory: peak memory of the render worker in bytes.
        growth: that memory over what it was after a quarter of the run.
        cores: number of cores that were busy in the mean, whoever used them.
        stages: seconds by stage, summed over the jobs.
    """

    seconds: float
    frames: int
    memory: int
    growth: float
    cores: float
    stages: dict[str, float]


def run_jobs(folder: Path, jobs: int, rate: float, at_once: int) -> Timing:
    """Execute one run in this process.

    Args:
        folder: has the inputs; the store is made there.
        rate: frames per second of the stand-in.
        at_once: number of items that the render worker runs at once.
    """
    set_ray_environment(None)
    name = f"{rate:g}-{at_once}"
    request = Request(
        store=str(folder / f"store-{name}"),
        weights=str(SHIPPED_WEIGHTS),
        portraits=str(folder / "portraits"),
        drivings=str(folder / "drivings"),
        defaults={"preset": "draft"},
        limit=jobs,
    )
    calls = folder / f"calls-{name}"
    before = psutil.cpu_times()
    started = time.monotonic()
    with _stand_ins(rate, calls, at_once):
        summary = execute(request, Listeners(), ray=True)
    passed, after = time.monotonic() - started, psutil.cpu_times()
    assert set(summary.counts) == {"done"}, summary.line()
    rows = read_manifest(open_store(request.store), summary.run_id)
    lines = [json.loads(line) for line in calls.read_text().splitlines()]
    early = lines[len(lines) // 4][2]
    return Timing(
        seconds=max(end for _, end, _ in lines) - min(start for start, *_ in lines),
        frames=summary.frames,
        memory=lines[-1][2],
        growth=lines[-1][2] / early,
        cores=(_busy(after) - _busy(before)) / passed,
        stages={stage: float(np.nansum(rows[f"seconds_{stage}"].to_numpy())) for stage in STAGES},
    )


@contextmanager
def _stand_ins(rate: float, calls: Path, at_once: int) -> Iterator[None]:
    from bench import pipeline  # not __main__, which no worker could import

    def roles(config: WorkerConfig, **_: Any) -> list[Role]:
        return [
            Role(PREPROCESS, PreprocessWorker, (config,), cpus=0.0, backpressure_limit=READY_PER_RENDER_WORKER),
            Role(RENDER, pipeline.StandInWorker, (config, rate, calls), concurrency=at_once, threads=2),
        ]

    with mock.patch.object(run_module, "worker_roles", roles):
        yield


def draw_inputs(folder: Path, jobs: int, frames: int) -> None:
    """Draw portraits and clips for a number of jobs."""
    for name in ("portraits", "drivings"):
        (folder / name).mkdir()
    for number in range(min(PORTRAITS, jobs)):
        picture = draw_portrait(FIRST_HELD_OUT_SEED + number, (SIDE, SIDE))[0]
        Image.fromarray(picture).save(folder / "portraits" / f"portrait{number}.png")
    for number in range(-(-jobs // PORTRAITS)):
        seeds = FIRST_HELD_OUT_SEED + 20 + number, FIRST_HELD_OUT_SEED + 40 + number
        pictures = (picture for picture, _ in draw_clip(*seeds, frames, FPS, (SIDE, SIDE)))
        clip = folder / "drivings" / f"clip{number}.mp4"
        media.encode(pictures, clip, rate=Fraction(FPS), size=(SIDE, SIDE), audio=None, metadata=VideoMetadata())


def measure(args: Namespace) -> Findings:
    """Measure every rate, with one item at once and with several."""
    cases, checks = {}, {}
    with scratch_folder() as folder:
        log("drawing portraits and clips")
        draw_inputs(folder, args.jobs, args.frames)
        for rate in args.rates:
            for at_once in args.at_once:
                log(f"{rate:g} frames per second, {at_once} at once")
                timing = isolated(run_jobs, folder, args.jobs, rate, at_once)
                share = timing.frames / rate / timing.seconds
                cases[f"{rate:g}/s, {at_once} at once"] = _case(timing, share)
                if at_once == ITEMS_PER_GPU and rate in TARGETS:
                    checks[f"share_at_{rate:g}"] = Check.at_least(share, TARGETS[rate])
    return Findings(cases, checks)


def _case(timing: Timing, share: float) -> Case:
    return Case(
        {
            "computing_share": share,
            "seconds": timing.seconds,
            "frames": timing.frames,
            "frames_per_second": timing.frames / timing.seconds,
            "busy_cores": timing.cores,
            "worker_peak_memory_bytes": timing.memory,
            "worker_memory_growth": timing.growth,
            **{f"{stage}_seconds_per_frame": spent / timing.frames for stage, spent in timing.stages.items()},
        }
    )


def _busy(times: Any) -> float:
    """Return the seconds in which the machine's cores worked, whoever used them."""
    return float(times.user + times.system + getattr(times, "nice", 0.0))


def _key(latents: Tensor) -> float:
    """Return what tells a portrait from the others."""
    return float(latents.double().sum())


def _resized(picture: Picture, side: int) -> Picture:
    return np.asarray(Image.fromarray(picture).resize((side, side)))


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument("--jobs", type=positive_int, default=40, metavar="N", help="number of jobs")
    options.add_argument("--frames", type=positive_int, default=100, metavar="N", help="frames of every clip")
    options.add_argument(
        "--rates", type=float, nargs="+", default=list(TARGETS), metavar="N", help="frames per second of the stand-in"
    )
    options.add_argument(
        "--at-once",
        type=positive_int,
        nargs="+",
        default=[1, ITEMS_PER_GPU],
        metavar="N",
        help="items that the worker runs at once",
    )
    return options


if __name__ == "__main__":
    main("pipeline", parser(), measure)
