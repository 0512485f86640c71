"""Results in the store are reused: only what changed or is missing is rendered."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flows.observe.progress import use_listener
from tasks import media
from tests.flows.jobs import JOB, RunJobs, manifest_rows
from troupe.progress import Progress


def test_only_changed_jobs_are_rendered(run_jobs: RunJobs) -> None:
    first = run_jobs(JOB)
    other_seed = run_jobs(JOB | {"seed": 1})
    assert other_seed.counts == {"done": 1}
    assert other_seed.files_put == 3  # Appearance, track and motion are reused.
    (a,), (b,) = manifest_rows(first).values(), manifest_rows(other_seed).values()
    assert a["checksum"] != b["checksum"]
    silent = run_jobs(JOB | {"audio": "none"})
    (row,) = manifest_rows(silent).values()
    assert not media.probe(Path(row["full_uri"])).audio


def test_identical_jobs_are_rendered_once(run_jobs: RunJobs) -> None:
    summary = run_jobs(JOB | {"job_id": "a"}, JOB | {"job_id": "b"})
    assert summary.counts == {"done": 1, "reused": 1}
    assert summary.frames == 10
    rows = manifest_rows(summary)
    assert rows["a"]["full_uri"] == rows["b"]["full_uri"]


def test_a_stopped_run_keeps_finished_jobs_and_resumes(run_jobs: RunJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()

    class StopAfterOne:
        def note(self, text: str) -> None: ...
        def begin(self, jobs: int) -> None: ...
        def working(self, progress: Progress) -> None: ...
        def finished(self, row: Mapping[str, Any]) -> None:
            stop.set()

    from contextlib import nullcontext

    jobs = [JOB | {"job_id": f"j{seed}", "seed": seed} for seed in range(3)]
    with monkeypatch.context() as patch, use_listener(StopAfterOne()):
        patch.setattr("flows.steps.stoppable", lambda: nullcontext(stop))
        stopped = run_jobs(*jobs)
    assert stopped.counts == {"done": 1, "cancelled": 2}
    assert {row["status"] for row in manifest_rows(stopped).values()} == {"done", "cancelled"}
    finished = run_jobs(*jobs)
    assert finished.counts == {"reused": 1, "done": 2}


def test_a_render_without_its_record_is_published_again(run_jobs: RunJobs, tmp_path: Path) -> None:
    (row,) = manifest_rows(run_jobs(JOB)).values()
    (tmp_path / "store" / "renders" / row["render_key"] / "render.json").unlink()
    again = run_jobs(JOB)
    assert again.counts == {"done": 1}
    (new,) = manifest_rows(again).values()
    assert new["checksum"] == row["checksum"]
    assert again.files_put == 1  # Existing files are kept.
