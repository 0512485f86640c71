"""When a run starts its workers."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flows.observe.progress import Listeners
from flows.steps import call_directly
from tasks.run.request import Request
from tasks.run.run import Run
from tests.faults.harness.workspace import wait_until
from tests.flows.jobs import JOB, SKETCH, RunJobs, write_jobs
from tests.tasks.pool.counts import Counts
from troupe.errors import Cancelled

REUSE = """
import sys
import flows.animate
from pathlib import Path
from flows.local import animate_locally
from tasks.run.request import Request
from tasks.steps.context import WorkerConfig
from tasks.steps.workers import PreprocessWorker

store, weights, jobs, scratch = sys.argv[1:]
summary = animate_locally(Request(store, weights, jobs=jobs, defaults={"preset": "sketch"}))
assert summary.counts == {"reused": 1}, summary
loaded = {"torch", "diffusers", "onnxruntime", "skimage", "scipy"} & sys.modules.keys()
assert not loaded, loaded
PreprocessWorker(WorkerConfig(store, weights, "", "cpu", "auto", Path(scratch)))
assert "torch" in sys.modules
assert "diffusers" not in sys.modules
"""


@contextmanager
def planned_run(store: Path, weights: Path, cast: Path, **columns: Any) -> Iterator[tuple[Run, Counts]]:
    """Plan a run of one job; yield it and the counts of its pool."""
    write_jobs(cast / "jobs.csv", (JOB | columns,))
    request = Request(str(store), str(weights), jobs=str(cast / "jobs.csv"), defaults=SKETCH)
    with Run(request, Listeners(), threading.Event(), ray=False) as run:
        counts = Counts(run._pool._scheduler)  # type: ignore[attr-defined]
        run.plan()
        yield run, counts


def test_all_workers_start_before_the_first_item(weights: Path, cast: Path, tmp_path: Path) -> None:
    with planned_run(tmp_path / "store", weights, cast) as (_, counts):
        assert wait_until(lambda: counts.workers_started == 2, 20), counts.workers_started
        assert counts.calls == 0


def test_only_the_workers_that_are_needed_start(run_jobs: RunJobs, weights: Path, cast: Path, tmp_path: Path) -> None:
    run_jobs(JOB)
    with planned_run(tmp_path / "store", weights, cast) as (run, counts):
        assert run.publish().counts == {"reused": 1}
        assert counts.workers_started == 0
    with planned_run(tmp_path / "store", weights, cast, audio="none") as (run, counts):
        run.encode_identities()
        call_directly("", run.animate_shard, each=run.shards)
        assert run.publish().films == 1
        assert counts.workers_started == 1, "its picture exists: no network is loaded"


def test_a_cluster_that_does_not_answer_does_not_delay_a_stop(
    weights: Path, cast: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, asked_on = threading.Event(), []

    def no_answer(*_: Any) -> None:
        asked_on.append(threading.current_thread())
        stop.set()
        time.sleep(20)

    monkeypatch.setattr("tasks.run.run.cluster_roles", no_answer)
    request = Request(str(tmp_path / "store"), str(weights), jobs=str(cast / "jobs.csv"), ray_address="auto")
    began = time.monotonic()
    with pytest.raises(Cancelled), Run(request, Listeners(), stop, ray=True):
        pass
    assert time.monotonic() - began < 10
    assert asked_on != [threading.main_thread()], "there, Ray sets a handler of SIGTERM"


def test_a_process_imports_only_what_it_needs(run_jobs: RunJobs, weights: Path, cast: Path, tmp_path: Path) -> None:
    run_jobs(JOB)
    words = [str(tmp_path / "store"), str(weights), str(cast / "jobs.csv"), str(tmp_path)]
    ended = subprocess.run([sys.executable, "-c", REUSE, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
