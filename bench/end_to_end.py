"""Overhead of the pipeline: the whole pipeline against the bare animator on the same jobs.

Generated portraits act generated clips with the miniature. The pipeline starts from a request and ends with published
videos and a manifest, in this process (`flows.local`); the bare animator has pictures, clips and tracks in memory,
encodes every identity and every clip once, and discards the frames. Both load the model themselves, in fresh processes,
in turn. The cost is what the pipeline spends outside denoising and decoding, less what the animator does: on a busy
machine two runs of the same denoising differ by more than that. The miniature denoises hundreds of times faster than
the released model, so the cost's share is as large as it can be; its seconds per frame carry over.
"""

from __future__ import annotations

import statistics
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.support.demo_request import demo_request
from bench.support.machine import isolated, peak_memory
from bench.support.report import Case, Check, Findings, log, main, make_parser, positive_int
from catalogs.store.store import open_store
from catalogs.table.manifest import read_manifest
from flows.local import animate_locally
from models.animator import load
from models.config import ModelConfig
from models.faces import FaceDetector, open_detector, prepare_portrait, track_face
from models.weights import detector_file
from tasks import media
from tasks.run.request import Request
from troupe import PRESETS, Job, Picture, Track, preset
from troupe.process.scratch import scratch_folder
from troupe.stopwatch import Stopwatch

__all__ = ["Timing", "animate_bare", "measure", "parser", "run_pipeline"]

MAX_SHARE = 0.05
"""What the pipeline may cost over the bare animator, as a share of its time."""
STAGES = ("encode", "denoise", "vae", "fetch", "decode", "paste", "encode_video", "put")


@dataclass(frozen=True)
class Timing:
    """Cost of one process.

    Attributes:
        seconds: seconds in total.
        frames: number of frames rendered.
        evaluations: evaluations of the denoiser.
        peak: peak memory in bytes.
        stages: seconds by stage; of the pipeline only those of its renders.
    """

    seconds: float
    frames: int
    evaluations: int
    peak: int
    stages: Mapping[str, float]

    @property
    def other(self) -> float:
        """Seconds outside denoising and decoding."""
        return self.seconds - self.stages["denoise"] - self.stages["vae"]


def measure(args: Namespace) -> Findings:
    """Measure both, a few times in turn."""
    timings: dict[str, list[Timing]] = {"pipeline": [], "animator": []}
    with scratch_folder() as folder:
        log("drawing portraits and clips")
        drawn = demo_request(folder, args, args.preset, device=args.device)
        for run in range(args.runs):
            request = replace(drawn, store=f"{drawn.store}-{run}")
            for name, way in (("pipeline", run_pipeline), ("animator", animate_bare)):
                log(f"run {run + 1} of {args.runs}: {name}")
                timings[name].append(isolated(way, request))
    pipeline, animator = (timings[name] for name in ("pipeline", "animator"))
    cost = statistics.median(a.other - b.other for a, b in zip(pipeline, animator, strict=True))
    cases = {"pipeline": _case(pipeline, cost), "animator": _case(animator)}
    checks = {
        "evaluations": Check.exactly(pipeline[0].evaluations, animator[0].evaluations),
        "cost_share": Check.at_most(cases["pipeline"].number("cost_share"), MAX_SHARE),
    }
    return Findings(cases, checks)


def run_pipeline(request: Request) -> Timing:
    """Run from the request to the manifest."""
    started = time.perf_counter()
    summary = animate_locally(request)
    seconds = time.perf_counter() - started
    assert set(summary.counts) == {"done"}, summary.line()
    rows = read_manifest(open_store(request.store), summary.run_id)
    stages = {}
    for stage in STAGES:
        if spent := [value for value in rows[f"seconds_{stage}"].to_pylist() if value is not None]:
            stages[stage] = float(sum(spent))
    return Timing(seconds, summary.frames, summary.evaluations, peak_memory(), stages)


def animate_bare(request: Request) -> Timing:
    """Run the animator on the same jobs, with inputs in memory and frames discarded."""
    weights, jobs = Path(request.weights), request.job_list
    detector, size = open_detector(detector_file(weights)), ModelConfig.read(weights).image_size
    portraits = {
        job.portrait: prepare_portrait(media.read_picture(Path(job.portrait)), detector, job.face, size, job.portrait)
        for job in jobs
    }
    clips = {job.driving: _clip(job, detector) for job in jobs}

    started, watch = time.perf_counter(), Stopwatch()
    animator = load(weights, request.device)
    with watch("encode"):
        appearances = {uri: animator.encode_appearance(portrait) for uri, portrait in portraits.items()}
        motions = {uri: animator.encode_motion(pictures, track) for uri, (pictures, track) in clips.items()}
    frames = 0
    for job in jobs:
        settings = replace(preset(job.preset), seed=job.seed)
        frames += sum(1 for _ in animator.animate(appearances[job.portrait], motions[job.driving], settings, watch))
    return Timing(time.perf_counter() - started, frames, animator.evaluations, peak_memory(), watch.seconds)


def _clip(job: Job, detector: FaceDetector) -> tuple[list[Picture], Track]:
    """Return the part of the clip that the job uses, and its track."""
    pictures = list(media.decode(Path(job.driving), job.start, job.end))
    return pictures, track_face(pictures, detector, job.driving_face, job.driving)


def _case(timings: Sequence[Timing], cost: float | None = None) -> Case:
    seconds, frames = statistics.median(timing.seconds for timing in timings), timings[0].frames
    figures: dict[str, float | int | None] = {
        "seconds": seconds,
        "other_seconds": statistics.median(timing.other for timing in timings),
        "frames": frames,
        "frames_per_second": frames / seconds,
        "evaluations_per_frame": timings[0].evaluations / frames,
        "peak_memory_bytes": max(timing.peak for timing in timings),
    }
    for stage in STAGES:
        if stage in timings[0].stages:
            figures[f"{stage}_seconds"] = statistics.median(timing.stages[stage] for timing in timings)
    if cost is not None:
        figures |= {"cost_seconds": cost, "cost_per_frame_seconds": cost / frames, "cost_share": cost / seconds}
    samples = {
        "seconds": [timing.seconds for timing in timings],
        "other_seconds": [timing.other for timing in timings],
    }
    return Case(figures, samples)


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument("--preset", choices=PRESETS, default="draft", help="preset of all jobs")
    options.add_argument("--jobs", type=positive_int, metavar="N", help="only the first N of four jobs")
    options.add_argument("--preview", type=float, metavar="S", help="only the first seconds of every clip")
    options.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    options.add_argument("--runs", type=positive_int, default=5, metavar="N", help="runs of each")
    return options


if __name__ == "__main__":
    main("end_to_end", parser(), measure)
