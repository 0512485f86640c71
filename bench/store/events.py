"""What webhooks cost a run: the same jobs side by side, with an endpoint that gets every event and without one.

Jobs do nothing, as in `bench.engine`, so that events are as frequent as they can be; the receiver is a process of its
own on loopback. Each run is a fresh process. Compared are the time from the request to the end of the last step, and
the driver's processor time until then; what is sent after that does not slow a run, and is reported. The order of the
two alternates, and the median of the pairs' ratios counts.
"""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from bench.engine import _idle_workers, _request
from bench.support.machine import isolated
from bench.support.report import Case, Check, Findings, log, main, make_parser, positive_int
from catalogs.events import Endpoint, Queue, add_endpoint, create_secret_file, read_state
from catalogs.events.queue import Cursor
from catalogs.store.store import open_store
from flows.observe.progress import Listeners
from flows.steps import execute
from models.miniature.init_weights import init_weights
from tasks.pool.ray_pool import set_ray_environment
from tasks.run.request import Request
from tasks.run.run import Run
from tasks.run.summary import Summary
from troupe.process.scratch import scratch_folder

__all__ = ["Round", "measure", "parser", "run_jobs"]

MAX_SLOWDOWN = 1.03


@dataclass(frozen=True)
class Round:
    """Cost of one run.

    Attributes:
        seconds: seconds from the request until everything is published, without the start of Ray.
        cpu: seconds of a processor that the driver used meanwhile, on all of its threads.
        after: seconds in which the rest was sent.
        sent: number of events that were sent until the command ended.
    """

    seconds: float
    cpu: float
    after: float
    sent: int


def run_jobs(folder: Path, name: str, jobs: int, url: str, local: bool) -> Round:
    """Execute one run in this process; with an endpoint if there is a URL, without Ray if `local`."""
    store, ended = str(folder / name), list[tuple[float, float]]()
    request = Request(store=store, weights=str(folder / "weights"), jobs=_request(folder, jobs))
    if url:
        secret = str(folder / "secret")
        add_endpoint(open_store(store), Endpoint("hook", url, secret_file=secret, allow_private=True))
    publish = Run.publish

    def publish_and_stop_the_clock(run: Run) -> Summary:
        summary = publish(run)
        ended.append((time.perf_counter(), time.process_time()))
        return summary

    set_ray_environment(None)
    from tasks.pool.ray_runtime import RayRuntime

    with (
        mock.patch.object(Run, "publish", publish_and_stop_the_clock),
        _idle_workers(),
        nullcontext() if local else RayRuntime(None, cpus=4, gpus=False),
    ):
        started, cpu = time.perf_counter(), time.process_time()
        summary = execute(request, Listeners(), ray=not local)
        after = time.perf_counter()
    assert summary.counts == {"done": jobs}, summary.line()
    sent = read_state(open_store(store), "hook").sent if url else 0
    return Round(ended[0][0] - started, ended[0][1] - cpu, after - ended[0][0], sent)


@contextmanager
def _receiver(folder: Path) -> Iterator[str]:
    """Run a receiver in a process of its own; yields its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tests.receiver", str(port), str(folder / "log"), str(folder / "secret"), "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.kill()
        process.wait()


def measure(args: Namespace) -> Findings:
    """Measure pairs of runs."""
    rounds: dict[str, list[Round]] = {"without": [], "with": []}
    missing = 0
    with scratch_folder() as folder:
        init_weights(folder / "weights", 0)
        create_secret_file(folder / "secret")
        with _receiver(folder) as url:
            for number in range(args.rounds):
                for kind in sorted(rounds, reverse=bool(number % 2)):
                    log(f"{args.jobs} jobs {kind} an endpoint")
                    name = f"store-{kind}-{number}"
                    hook = url if kind == "with" else ""
                    rounds[kind].append(isolated(run_jobs, folder, name, args.jobs, hook, args.local))
            last = open_store(str(folder / f"store-with-{args.rounds - 1}"))
            state = read_state(last, "hook")
            sent = {json.loads(line) for line in (folder / "log").read_text().splitlines()}
            recorded = {event.id for batch in Queue(last).after(Cursor()) for event in batch.events}
            waiting = {event.id for batch in Queue(last).after(state.cursor) for event in batch.events} - state.ahead
            missing = len(recorded - sent - waiting)
    cases = {
        f"{kind} an endpoint": Case(
            {
                "jobs_per_second": args.jobs / statistics.median(r.seconds for r in done),
                "seconds": statistics.median(r.seconds for r in done),
                "driver_cpu_seconds": statistics.median(r.cpu for r in done),
                "sending_after_seconds": statistics.median(r.after for r in done),
                "events_sent": statistics.median(r.sent for r in done),
            },
            {"seconds": [r.seconds for r in done], "driver_cpu_seconds": [r.cpu for r in done]},
        )
        for kind, done in rounds.items()
    }
    pairs = list(zip(rounds["with"], rounds["without"], strict=True))
    checks = {
        "slowdown": Check.at_most(statistics.median(a.seconds / b.seconds for a, b in pairs), MAX_SLOWDOWN),
        "driver_cpu": Check.at_most(statistics.median(a.cpu / b.cpu for a, b in pairs), MAX_SLOWDOWN),
        "events_lost": Check.exactly(missing, 0),
    }
    return Findings(cases, checks)


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument("--jobs", type=positive_int, default=5000, metavar="N", help="jobs of each run")
    options.add_argument("--rounds", type=positive_int, default=5, metavar="N", help="pairs of runs")
    options.add_argument("--local", action="store_true", help="do the jobs in the driver's process, without Ray")
    return options


if __name__ == "__main__":
    main("events", parser(), measure)
