"""The benchmark of the engine, as far as it needs no Ray of its own."""

from __future__ import annotations

from pathlib import Path

from bench.engine import CLIPS, _request, utilisation
from catalogs.jobs import read_jobs


def test_the_scheduler_comes_close_to_the_optimum() -> None:
    assert 0.9 < utilisation(8, 400, 40) <= 1


def test_a_request_of_any_size(tmp_path: Path) -> None:
    jobs = read_jobs(_request(tmp_path, CLIPS + 3))
    assert len({(job.portrait, job.driving) for job in jobs}) == CLIPS + 3
    assert len({job.portrait for job in jobs}) == 2
    assert all(Path(job.driving).exists() for job in jobs)
