"""Overhead of the engine: everything around the animator, with an animator that does nothing.

A whole run, from the request to the manifest, with Ray actors and a store in a folder: inputs are hashed, keys
computed, existing renders looked up, work items scheduled, rows committed. Each job puts 1 kB, verified. Each size runs
in a fresh process, the driver whose memory is reported. Then the pool's scheduler alone runs on a simulated clock: 64
workers, jobs of log-normal lengths, many identities; its time is compared with the theoretical minimum.
"""

from __future__ import annotations

import json
import math
import os
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from PIL import Image

from bench.support.machine import isolated, peak_memory
from bench.support.report import Case, Check, Findings, log, main, make_parser, positive_int
from catalogs.store.renders import record_key
from catalogs.store.store import Store, open_store
from flows.observe.progress import Listeners
from flows.steps import execute
from tasks.pool import Role, WorkItem
from tasks.pool.ray_pool import set_ray_environment
from tasks.run import run as run_module
from tasks.run.request import Request
from tasks.run.results import results
from tasks.run.worker_roles import PREPROCESS, READY_PER_RENDER_WORKER, RENDER
from tasks.steps.context import WorkerConfig
from tasks.steps.specs import Done, FilmDone, FilmSpec, MotionSpec, PictureDone, PictureSpec, PortraitSpec, TrackSpec
from tests.tasks.pool.simulation import Simulation
from troupe.process.scratch import scratch_folder

__all__ = ["Idler", "Round", "measure", "parser", "run_jobs", "utilisation"]

CLIPS = 100
RECORD_BYTES = 1000
"""Bytes that each job puts."""
MIN_RATE, MAX_GROWTH, MIN_UTILISATION = 300.0, 1.2, 0.95


class Idler:
    """Worker that does nothing but put each job's record."""

    def __init__(self, setup: WorkerConfig) -> None:
        self._store = open_store(setup.store)
        self._calls = _count_store_calls()

    def track(self, _order: TrackSpec) -> Done:
        """Nothing."""
        return Done(reused=False)

    def portrait(self, _order: PortraitSpec) -> Done:
        """Nothing."""
        return Done(reused=False)

    def motion(self, _order: MotionSpec) -> Done:
        """Nothing."""
        return Done(reused=False)

    def picture(self, _order: PictureSpec) -> PictureDone:
        """Report the store calls of this worker so far in place of the denoiser's evaluations."""
        calls, self._calls[0] = self._calls[0], 0
        return PictureDone(reused=False, evaluations=calls)

    def film(self, order: FilmSpec) -> FilmDone:
        """Put the record."""
        facts: dict[str, Any] = dict.fromkeys(("width", "height", "frames", "bytes"), 1) | {
            "outputs": {},
            "poster": f"{order.folder}/poster.jpg",
            "fps": [25, 1],
            "face": [0, 0, 1, 1],
            "gaps": [],
            "cuts": [],
            "detection_score": None,
            "seconds": 0.04,
            "checksum": order.key,
            "device": "none",
            "peak_gpu_bytes": None,
            "worker": str(os.getpid()),
        }
        put = self._store.put_bytes(json.dumps(facts).ljust(RECORD_BYTES).encode(), record_key(order.folder))
        return FilmDone(reused=not put.created, puts=1, facts=facts)


def _count_store_calls() -> list[int]:
    """Count the calls of all stores of this process from now on, in the first element."""
    calls, do = [0], Store._do

    def counting(self: Store, *args: Any, **more: Any) -> Any:
        calls[0] += 1
        return do(self, *args, **more)

    Store._do = counting  # type: ignore[method-assign]
    return calls


@dataclass(frozen=True)
class Round:
    """Cost of one run.

    Attributes:
        seconds: seconds from the request to the manifest, without the start of Ray.
        start: seconds to start Ray.
        memory: peak memory of the driver in bytes.
        calls: number of store calls.
    """

    seconds: float
    start: float
    memory: int
    calls: int


def run_jobs(folder: Path, jobs: int) -> Round:
    """Execute one run in this process."""
    calls = _count_store_calls()
    request = Request(store=str(folder / f"store-{jobs}"), weights=str(folder / "weights"), jobs=_request(folder, jobs))
    set_ray_environment(None)
    from tasks.pool.ray_runtime import RayRuntime

    started = time.perf_counter()
    # The pool uses a Ray that already runs, so that its start is measured separately.
    with _idle_workers(), RayRuntime(None, cpus=4, gpus=False):
        ready = time.perf_counter()
        summary = execute(request, Listeners(), ray=True)
        ended = time.perf_counter()
    assert summary.counts == {"done": jobs}, f"{summary.line()}: {results(request.store, summary.run_id, 1)}"
    return Round(ended - ready, ready - started, peak_memory(), calls[0] + summary.evaluations)


@contextmanager
def _idle_workers() -> Iterator[None]:
    from bench import engine  # not __main__, which no worker could import

    def idle_roles(config: WorkerConfig, **_: Any) -> list[Role]:
        return [
            Role(
                PREPROCESS, engine.Idler, (config,), workers=1, cpus=0.0, backpressure_limit=READY_PER_RENDER_WORKER * 2
            ),
            Role(RENDER, engine.Idler, (config,), workers=2, cpus=1.0),
        ]

    with mock.patch.object(run_module, "worker_roles", idle_roles):
        yield


def _request(folder: Path, jobs: int) -> str:
    """Write a jobs file in which every portrait acts every clip; inputs are some bytes each."""
    path, portraits = folder / f"jobs-{jobs}.csv", math.ceil(jobs / CLIPS)
    # What cannot be opened is refused when the run is planned.
    for number in range(portraits):
        Image.new("RGB", (1, 1), f"#{number:06x}").save(folder / f"portrait{number}", "png")
    first, second = (Image.new("P", (16, 16), colour) for colour in (0, 1))
    for number in range(CLIPS):
        clip = folder / f"clip{number}"
        first.save(clip, "GIF", save_all=True, append_images=[second], comment=str(number).encode())
    pairs = [(f"portrait{n // CLIPS}", f"clip{n % CLIPS}") for n in range(jobs)]
    path.write_text("portrait,driving\n" + "".join(f"{portrait},{clip}\n" for portrait, clip in pairs))
    return str(path)


def utilisation(workers: int, jobs: int, identities: int, seed: int = 7) -> float:
    """Simulate the scheduler and return the minimum possible time over its time."""
    random = Random(seed)
    work_items = [
        WorkItem(
            str(n),
            "play",
            Idler.picture,
            cost=random.lognormvariate(0, 1),
            affinity_key=str(random.randrange(identities)),
        )
        for n in range(jobs)
    ]
    simulation = Simulation([Role("play", object, workers=workers)])
    simulation.run(work_items)
    least = max(math.fsum(work.cost for work in work_items) / workers, max(work.cost for work in work_items))
    return least / simulation.now


def measure(args: Namespace) -> Findings:
    """Measure the runs, smallest first, and the simulation."""
    from models.miniature.init_weights import init_weights  # imports torch, which neither driver nor Idler needs

    cases, rounds = {}, {}
    with scratch_folder() as folder:
        init_weights(folder / "weights", 0)
        for jobs in sorted(args.jobs):
            log(f"{jobs} jobs")
            done = rounds[jobs] = isolated(run_jobs, folder, jobs)
            cases[f"{jobs} jobs"] = Case(
                {
                    "seconds": done.seconds,
                    "jobs_per_second": jobs / done.seconds,
                    "driver_peak_memory_bytes": done.memory,
                    "store_calls_per_job": done.calls / jobs,
                    "ray_start_seconds": done.start,
                }
            )
    log("the scheduler on a simulated clock")
    used = utilisation(args.workers, args.simulated, max(1, args.simulated // 10))
    cases["scheduler"] = Case({"workers": args.workers, "jobs": args.simulated, "utilisation_share": used})
    least, most = min(rounds), max(rounds)
    checks = {
        "jobs_per_second": Check.at_least(most / rounds[most].seconds, MIN_RATE),
        "utilisation": Check.at_least(used, MIN_UTILISATION),
    }
    if least < most:
        growth = rounds[most].memory / rounds[least].memory
        checks["driver_memory_growth"] = Check.at_most(growth, MAX_GROWTH)
    return Findings(cases, checks)


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument(
        "--jobs", type=positive_int, nargs="+", default=[2000, 20000], metavar="N", help="jobs of each run"
    )
    options.add_argument("--workers", type=positive_int, default=64, metavar="N", help="workers of the simulation")
    options.add_argument("--simulated", type=positive_int, default=4000, metavar="N", help="jobs of the simulation")
    return options


if __name__ == "__main__":
    main("engine", parser(), measure)
