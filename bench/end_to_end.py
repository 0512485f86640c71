"""What the pipeline costs: the whole path against the bare animator on the same work.

Generated portraits act generated clips with an untrained miniature model. The pipeline starts from a request and ends
with published videos and a manifest, in this process (`flows.local`); the bare animator has pictures, clips and tracks
ready in memory, encodes every identity and every clip once, and lets the frames go. Both load the model themselves,
each in processes of their own, in turn. The miniature denoises hundreds of times faster than the released model, so
here the pipeline's share is as large as it can be; its seconds a frame are what carries over.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.machine import isolated, peak_memory
from bench.report import Case, Check, Findings, arguments, main, tell
from catalogs.manifest import read_manifest
from catalogs.store import open_store
from flows.local import animate_locally
from models.animator import load
from models.faces import Portrait, follow, open_detector, prepare_portrait
from models.weights import detector_file
from tasks import media
from tasks.demo import prepare_demo
from tasks.production import Request
from troupe import PRESETS, FaceChoice, Job, Picture, Track, preset
from troupe.stopwatch import Stopwatch

__all__ = ["Timing", "animate_bare", "measure", "run_pipeline"]

STAGES = ("fetch", "decode", "denoise", "vae", "paste", "encode_video", "put")


@dataclass(frozen=True)
class Timing:
    """How one process did.

    Attributes:
        seconds: in all.
        frames: rendered.
        evaluations: of the denoiser.
        stages: seconds by stage of the renders.
        peak: bytes of memory, the most.
    """

    seconds: float
    frames: int
    evaluations: int
    peak: int
    stages: Mapping[str, float] = field(default_factory=dict)


def measure(chosen: Namespace) -> Findings:
    """Do the work both ways, a few times in turn."""
    timings: dict[str, list[Timing]] = {"pipeline": [], "animator": []}
    with tempfile.TemporaryDirectory(prefix="troupe-bench-") as folder:
        tell("drawing portraits and clips")
        portraits, drivings, weights = prepare_demo(Path(folder))
        for run in range(chosen.runs):
            request = Request(
                store=str(Path(folder) / f"store-{run}"),
                weights=str(weights),
                portraits=str(portraits),
                drivings=str(drivings),
                defaults={"preset": chosen.preset},
                limit=chosen.jobs,
                preview=chosen.preview,
                device=chosen.device,
            )
            for name, way in (("pipeline", run_pipeline), ("animator", animate_bare)):
                tell(f"run {run + 1} of {chosen.runs}: {name}")
                timings[name].append(isolated(way, request))
    pipeline, animator = (timings[name] for name in ("pipeline", "animator"))
    cost = statistics.median(a.seconds - b.seconds for a, b in zip(pipeline, animator, strict=True))
    cases = {"pipeline": _case(pipeline, cost), "animator": _case(animator)}
    evaluations = Check.exactly(pipeline[0].evaluations, animator[0].evaluations)
    return Findings(cases, {"evaluations": evaluations})


def run_pipeline(request: Request) -> Timing:
    """From the request to the manifest."""
    since = time.perf_counter()
    summary = animate_locally(request)
    seconds = time.perf_counter() - since
    assert set(summary.counts) == {"done"}, summary.line()
    rows = read_manifest(open_store(request.store), summary.run_id)
    stages = {stage: sum(rows[f"seconds_{stage}"].to_pylist()) for stage in STAGES}
    return Timing(seconds, summary.frames, summary.evaluations, peak_memory(), stages)


def animate_bare(request: Request) -> Timing:
    """The same with everything at hand and nothing kept."""
    weights = Path(request.weights)
    detector = open_detector(detector_file(weights))
    jobs = request.read()
    clips = {job.driving: _clip(job, detector) for job in jobs}
    since, watch, frames = time.perf_counter(), Stopwatch(), 0
    animator = load(weights, request.device)
