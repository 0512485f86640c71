"""The parts of the engine's benchmark that run without Ray."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from bench.engine import CLIPS, _idle_workers, _request, utilisation
from catalogs.requests.jobs_file import read_jobs
from flows.observe.progress import Listeners
from flows.steps import execute
from models.miniature.init_weights import init_weights
from tasks.run.request import Request
from tests.small import SMALL


def test_the_scheduler_comes_close_to_the_optimum() -> None:
    assert 0.9 < utilisation(8, 400, 40) <= 1


def test_a_request_of_any_size(tmp_path: Path) -> None:
    jobs = read_jobs(_request(tmp_path, CLIPS + 3))
    assert len({(job.portrait, job.driving) for job in jobs}) == CLIPS + 3
    assert len({job.portrait for job in jobs}) == 2
    assert all(Path(job.driving).exists() for job in jobs)


def test_the_facts_of_an_idle_job_make_a_row(tmp_path: Path) -> None:
    """Rows are made from the facts of renders, so those of the benchmark have to be complete."""
    init_weights(tmp_path / "weights", 0, SMALL)
    request = Request(str(tmp_path / "store"), str(tmp_path / "weights"), jobs=_request(tmp_path, 3))
    with _idle_workers():
        summary = execute(request, Listeners(), ray=False)
    assert summary.counts == {"done": 3}
    rows = pq.read_table(summary.manifest).to_pylist()
    assert [(row["frames"], row["device"]) for row in rows] == [(1, "none")] * 3
    assert len({row["checksum"] for row in rows}) == 3
