"""Speed of sampling a clip, against the minimum operations and the machine's limit.

Random weights; a clip of a new identity, repeatedly in a fresh process: encode the portrait, project the motion, sample
all steps, decode all frames. Configurations:

  reference-cpu  a small model for comparison with other code: 44 frames of 128x128, 2 steps, no padding, in
                 float32; its seconds end with the latents. The default where there is no GPU.
  full           the released sizes: 100 and 250 frames of 512x512, 25 steps, in float16 and bfloat16, each
                 eager and compiled. The default on a GPU.
  tiny           for testing the command.

Operations are reported per output frame, as products with weights and convolutions; those of attention separately. The
least are those of a sampler without padding and overlap. Shares are of the machine's rate in a large matrix product of
the same type, attention included.
"""

from __future__ import annotations

import statistics
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import torch

from bench.support.flops import ClipCost, FrameCost, count_clip_cost, count_frame_cost
from bench.support.machine import isolated, matrix_rate, peak_memory, synchronise
from bench.support.random_inputs import random_motion, random_portrait
from bench.support.random_weights import FULL, REFERENCE, TINY, Model, write_weights
from bench.support.report import Case, Check, Findings, log, main, make_parser, positive_int
from models.animator import Animator, load
from models.faces import Portrait
from models.motion import Motion
from models.runtime.device import DTYPES, pick_device
from troupe import SamplerSettings
from troupe.process.scratch import scratch_folder

__all__ = ["CONFIGURATIONS", "Clip", "Plan", "Session", "measure", "parser", "sample_clip", "sample_clips"]

WARM_UP_STEPS = 2
"""Enough to run every shape once before measuring."""


@dataclass(frozen=True)
class Plan:
    """Configuration of the benchmark.

    Attributes:
        model: model sizes.
        settings: settings of the sampler.
        frames: lengths of the clips.
        runs: runs per clip, after a warm-up.
        decoded: whether the seconds include decoding.
    """

    model: Model
    settings: SamplerSettings
    frames: tuple[int, ...]
    runs: int
    decoded: bool = True


CONFIGURATIONS = {
    "reference-cpu": Plan(REFERENCE, SamplerSettings(steps=2, padding=0), frames=(44,), runs=5, decoded=False),
    "full": Plan(FULL, SamplerSettings(), frames=(100, 250), runs=1),
    "tiny": Plan(TINY, SamplerSettings(steps=2, padding=2, overlap=2), frames=(7,), runs=2),
}
BRANCHES = 2
REFERENCE_CASE = "float32, 44 frames"
REFERENCE_SECONDS = 4.0
FULL_TFLOP = 1.13
FULL_DECODE_TFLOP = 3.02
H200_FRAMES_PER_SECOND = 3.5


@dataclass(frozen=True)
class Clip:
    """Cost of one clip.

    Attributes:
        appearance, denoise, vae: seconds by stage.
        processor: processor seconds of denoising, steadier on a busy machine.
        evaluations: evaluations of the denoiser.
    """

    appearance: float
    denoise: float
    vae: float
    processor: float
    evaluations: int


@dataclass(frozen=True)
class Session:
    """Measurements of one process.

    Attributes:
        warm: length -> seconds of the warm-up, compilation included.
        clips: length -> the measured runs.
        peaks: length -> peak memory in bytes; on a CPU, since the start of the process.
        rate: operations per second of the machine.
    """

    warm: Mapping[int, float]
    clips: Mapping[int, Sequence[Clip]]
    peaks: Mapping[int, int]
    rate: float


def measure(args: Namespace) -> Findings:
    """Sample the configurations that the arguments select."""
    device = pick_device(args.device)
    gpu = device.type == "cuda"
    name = args.config or ("full" if gpu else "reference-cpu")
    plan = _with_overrides(CONFIGURATIONS[name], args)
    log("counting operations")
    costs = count_frame_cost(plan.model.config, plan.settings.decode_chunk)
    work_items = [count_clip_cost(frames, plan.model.config, plan.settings, costs) for frames in plan.frames]
    cases: dict[str, Case] = {}
    with scratch_folder() as folder:
        log("writing random weights")
        directory = write_weights(Path(folder) / "weights", plan.model)
        dtypes = args.dtype or (["float16", "bfloat16"] if gpu else ["float32"])
        for dtype, compiled in product(dtypes, args.compile or (["off", "on"] if gpu else ["off"])):
            way = f"{dtype}, compiled" if compiled == "on" else dtype
            log(f"sampling in {way}")
            session = isolated(sample_clips, directory, plan, args.device, dtype, compiled == "on")
            cases |= {f"{way}, {work.frames} frames": _case(plan, work, session) for work in work_items}
    return Findings(cases, _checks(name, plan, costs, cases))


def sample_clips(directory: Path, plan: Plan, device: str, dtype: str, compiled: bool = False) -> Session:
    """Sample every clip of the plan in this process, the shortest first."""
    animator = load(directory, device, dtype, compile=compiled)
    portrait = random_portrait(animator.config)
    few = replace(plan.settings, steps=min(plan.settings.steps, WARM_UP_STEPS))
    warm, clips, peaks = {}, {}, {}
    for frames in sorted(plan.frames):
        motion = random_motion(frames, animator.config)
        started = time.perf_counter()
        sample_clip(animator, portrait, motion, few)
        warm[frames] = time.perf_counter() - started
        if animator.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(animator.device)
        clips[frames] = [sample_clip(animator, portrait, motion, plan.settings) for _ in range(plan.runs)]
        peaks[frames] = animator.peak_gpu_bytes or peak_memory()
    return Session(warm, clips, peaks, matrix_rate(animator.device, animator.dtype))


def sample_clip(animator: Animator, portrait: Portrait, motion: Motion, settings: SamplerSettings) -> Clip:
    """Encode, sample and decode one clip of a new identity.

    Raises:
        FloatingPointError: a frame has a single colour, as after an overflow, so that timings would be meaningless.
    """
    evaluations = animator.evaluations
    stamps: list[tuple[float, float]] = []

    def stamp(done: int = 0, total: int = 0) -> None:
        if done == total:
            synchronise(animator.device)
            stamps.append((time.perf_counter(), time.process_time()))

    stamp()
    appearance = animator.encode_appearance(portrait)
    stamp()
    for frame in animator.animate(appearance, motion, settings, on_progress=stamp):
        if frame.min() == frame.max():
            raise FloatingPointError(f"sampling in {animator.dtype} produced a frame of a single colour")
    stamp()
    (start, _), (encoded, before), (denoised, after), (decoded, _) = stamps
    return Clip(
        appearance=encoded - start,
        denoise=denoised - encoded,
        vae=decoded - denoised,
        processor=after - before,
        evaluations=animator.evaluations - evaluations,
    )


def _with_overrides(plan: Plan, args: Namespace) -> Plan:
    """Return the plan with the command line's overrides."""
    return replace(
        plan,
        settings=replace(plan.settings, steps=args.steps or plan.settings.steps),
        frames=tuple(sorted(args.frames or plan.frames)),
        runs=args.runs or plan.runs,
    )


def _case(plan: Plan, work: ClipCost, session: Session) -> Case:
    clips = session.clips[work.frames]
    samples = {
        "seconds": [clip.appearance + clip.denoise + clip.vae * plan.decoded for clip in clips],
        "appearance_seconds": [clip.appearance for clip in clips],
        "denoise_seconds": [clip.denoise for clip in clips],
        "vae_seconds": [clip.vae for clip in clips],
        "denoise_processor_seconds": [clip.processor for clip in clips],
    }
    seconds = {name: statistics.median(values) for name, values in samples.items()}
    evaluations = clips[0].evaluations
    return Case(
        {
            "frames_per_second": work.frames / seconds["seconds"],
            **seconds,
            "warm_up_seconds": session.warm[work.frames],
            "peak_memory_bytes": session.peaks[work.frames],
            "branches_per_step": evaluations / (plan.settings.steps * work.step_frames),
            "evaluations_per_frame": evaluations / work.frames,
            "least_evaluations_per_frame": work.least_evaluations / work.frames,
            "tflop_per_frame": (work.denoise.products + work.decode.products) / work.frames / 1e12,
            "least_tflop_per_frame": work.least / work.frames / 1e12,
            "attention_tflop_per_frame": (work.denoise.attention + work.decode.attention) / work.frames / 1e12,
            "matrix_tflop_per_second": session.rate / 1e12,
            "denoise_matrix_share": work.denoise.total / seconds["denoise_seconds"] / session.rate,
            "vae_matrix_share": work.decode.total / seconds["vae_seconds"] / session.rate,
        },
        samples,
    )


def _checks(name: str, plan: Plan, costs: FrameCost, cases: Mapping[str, Case]) -> dict[str, Check]:
    """Return the targets of a configuration; of speed only if nothing was overridden."""
    checks = {
        "branches_per_step": Check.at_most(max(case.number("branches_per_step") for case in cases.values()), BRANCHES)
    }
    promised = CONFIGURATIONS[name]
    same = (plan.settings, plan.frames) == (promised.settings, promised.frames)
    if name == "reference-cpu" and same and REFERENCE_CASE in cases:
        checks["seconds"] = Check.at_most(cases[REFERENCE_CASE].number("seconds"), REFERENCE_SECONDS)
    if name == "full":
        checks["tflop_per_evaluation"] = Check.at_most(costs.guided / 1e12, FULL_TFLOP)
        checks["vae_tflop_per_frame"] = Check.at_most(costs.decode.products / 1e12, FULL_DECODE_TFLOP)
        if same and torch.cuda.is_available() and "H200" in torch.cuda.get_device_name():
            fastest = max(case.number("frames_per_second") for case in cases.values())
            checks["frames_per_second"] = Check.at_least(fastest, H200_FRAMES_PER_SECOND)
    return checks


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument("--config", choices=CONFIGURATIONS, help="configuration, see above")
    options.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    options.add_argument("--dtype", nargs="+", choices=DTYPES, help="one or more, instead of the configuration's")
    options.add_argument("--compile", nargs="+", choices=("off", "on"), help="one or both")
    options.add_argument(
        "--frames", nargs="+", type=positive_int, metavar="N", help="lengths, instead of the configuration's"
    )
    options.add_argument(
        "--steps", type=positive_int, metavar="N", help="sampler steps, instead of the configuration's"
    )
    options.add_argument("--runs", type=positive_int, metavar="N", help="runs per clip, instead of the configuration's")
    return options


if __name__ == "__main__":
    main("sampler", parser(), measure)
