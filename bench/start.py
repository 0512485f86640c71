"""What a run of one job costs beyond the model: until it says what it does, until it renders, and in total.

The command is started as by a user, in a process of its own, with an empty store and again when all is done; with
Prefect and Ray, and with `--local`. A first run, which is not measured, creates Prefect's database and fills the
system's cache of files.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.support.report import Case, Check, Findings, log, main, make_parser, positive_int
from catalogs.store.store import open_store
from catalogs.table.manifest import read_manifest
from models.miniature import SHIPPED_WEIGHTS
from tasks.demo import prepare_demo
from troupe.process.scratch import scratch_folder

__all__ = ["Timing", "measure", "parser", "time_run"]

MODES = {"run": (), "run --local": ("--local",)}
MOMENTS = {"reading": "reading the inputs", "working": "preparing 1 portrait", "rendered": "1/1 "}
"""Part of the first line that is printed at each moment of a run."""
MAX_FIRST_LINE = 1.0
MODEL_STAGES = ("encode", "denoise", "vae")


@dataclass(frozen=True)
class Timing:
    """Times of one command, in seconds since it was started.

    Attributes:
        first_line: its first line.
        moments: first line of each moment of a run; a run that reuses everything has not all of them.
        total: its end.
        model: time in the networks, as the job's row says.
    """

    first_line: float
    moments: Mapping[str, float]
    total: float
    model: float


def time_run(words: Sequence[str], environment: Mapping[str, str]) -> Timing:
    """Run `troupe run` with these options and wait for its end.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, "-c", "from flows.cli import main; main()", "run", *words]
    lines: list[tuple[float, str]] = []
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True) as run:
        assert run.stdout is not None
        lines += ((time.perf_counter() - started, line.strip()) for line in run.stdout)
    total = time.perf_counter() - started
    if run.returncode != 0:
        raise RuntimeError("\n".join(line for _, line in lines))
    moments = {}
    for name, part in MOMENTS.items():
        if (seen := next((seconds for seconds, line in lines if part in line), None)) is not None:
            moments[name] = seen
    return Timing(lines[0][0], moments, total, 0.0)


def _model_seconds(store: str) -> float:
    """Return the seconds that the networks took for the only row of the run."""
    (run,) = (Path(store) / "runs").iterdir()
    row = read_manifest(open_store(store), run.name).to_pylist()[0]
    return sum(row[f"seconds_{stage}"] or 0.0 for stage in MODEL_STAGES)


def measure(args: Namespace) -> Findings:
    """Measure every mode, a few times in turn."""
    timings: dict[str, list[Timing]] = {}
    with scratch_folder() as folder:
        log("drawing portraits and clips")
        portraits, drivings = prepare_demo(folder)
        environment = {**os.environ, "PREFECT_HOME": str(folder / "prefect")}
        environment.pop("PREFECT_API_URL", None)
        inputs = ["--portraits", str(portraits), "--drivings", str(drivings), "--weights", str(SHIPPED_WEIGHTS)]
        inputs += ["--limit", "1", "--preview", "1s", "--preset", args.preset]
        log("a first run")
        time_run([*inputs, "--store", str(folder / "first")], environment)
        for number in range(args.runs):
            for mode, options in MODES.items():
                log(f"run {number + 1} of {args.runs}: {mode}")
                store = str(folder / f"store-{number}-{len(options)}")
                words = [*inputs, "--store", store, *options]
                timing = time_run(words, environment)
                timing = Timing(timing.first_line, timing.moments, timing.total, _model_seconds(store))
                timings.setdefault(mode, []).append(timing)
                timings.setdefault(f"{mode}, again", []).append(time_run(words, environment))
    cases = {name: _case(some) for name, some in timings.items()}
    first = max(case.number("first_line_seconds") for case in cases.values())
    return Findings(cases, {"first_line_seconds": Check.at_most(first, MAX_FIRST_LINE)})


def _case(timings: Sequence[Timing]) -> Case:
    samples = {"first_line_seconds": [timing.first_line for timing in timings]}
    for name in MOMENTS:
        if all(name in timing.moments for timing in timings):
            samples[f"{name}_seconds"] = [timing.moments[name] for timing in timings]
    samples |= {
        "total_seconds": [timing.total for timing in timings],
        "beyond_model_seconds": [timing.total - timing.model for timing in timings],
    }
    return Case({name: statistics.median(values) for name, values in samples.items()}, samples)


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument("--preset", default="sketch", help="preset of the job")
    options.add_argument("--runs", type=positive_int, default=3, metavar="N", help="runs of each mode")
    return options


if __name__ == "__main__":
    main("start", parser(), measure)
