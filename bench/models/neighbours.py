"""Two processes that share the processor's cores: seconds of a clip by how OpenMP's threads wait.

Random weights; the clip of `bench.models.sampler` in one process, then in two at once, each with as many threads as
there are cores, with OpenMP's default and with `OMP_WAIT_POLICY=PASSIVE`, which troupe sets for its commands and
workers. The cases take turns; run this on a machine that is otherwise idle.
"""

from __future__ import annotations

import os
import statistics
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.models.sampler import CONFIGURATIONS, Plan, sample_clips
from bench.support.machine import isolated
from bench.support.random_weights import write_weights
from bench.support.report import Case, Findings, log, main, make_parser, positive_int
from troupe.process.scratch import scratch_folder

__all__ = ["measure", "parser"]

VARIABLE = "OMP_WAIT_POLICY"
POLICIES = {"default": None, "passive": "PASSIVE"}
PROCESSES = (1, 2)


def measure(args: Namespace) -> Findings:
    """Sample with every policy, alone and beside another process."""
    plan = replace(CONFIGURATIONS[args.config], runs=args.runs)
    plan = replace(plan, frames=(args.frames,)) if args.frames else plan
    samples: dict[str, list[float]] = {}
    with scratch_folder() as folder:
        directory = write_weights(folder / "weights", plan.model)
        for turn in range(args.turns):
            for processes in PROCESSES:
                for name, policy in POLICIES.items():
                    case = f"{processes} at once, {name}"
                    with _policy(policy):
                        seconds = _seconds(directory, plan, processes)
                    log(f"turn {turn + 1} of {args.turns}: {case}: {statistics.median(seconds):.1f} s")
                    samples.setdefault(case, []).extend(seconds)
    return Findings(
        {
            case: Case({"seconds": statistics.median(values), "clips": len(values)}, {"seconds": values})
            for case, values in samples.items()
        },
        checks={},
    )


def _seconds(directory: Path, plan: Plan, processes: int) -> list[float]:
    """Return the seconds of all clips of the processes."""
    with ThreadPoolExecutor(processes) as threads:
        started = [threads.submit(isolated, sample_clips, directory, plan, "cpu", "float32") for _ in range(processes)]
        sessions = [future.result() for future in started]
    return [clip.denoise for session in sessions for clips in session.clips.values() for clip in clips]


@contextmanager
def _policy(value: str | None) -> Iterator[None]:
    """Set how the threads of processes that are started in the `with` block wait."""
    before = os.environ.pop(VARIABLE, None)
    try:
        if value is not None:
            os.environ[VARIABLE] = value
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument(
        "--config", choices=("reference-cpu", "tiny"), default="reference-cpu", help="as bench.models.sampler's"
    )
    options.add_argument("--frames", type=positive_int, metavar="N", help="length of the clip, instead of its own")
    options.add_argument("--turns", type=positive_int, default=3, metavar="N", help="turns of all cases")
    options.add_argument("--runs", type=positive_int, default=2, metavar="N", help="clips per process and turn")
    return options


if __name__ == "__main__":
    main("neighbours", parser(), measure)
