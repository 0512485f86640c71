"""Progress of a run from its record and its rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from catalogs.query.job_index import JobIndex
from catalogs.query.run_progress import run_progress
from catalogs.store.store import Store
from catalogs.table.runs import RunInfo
from catalogs.table.schema import Row
from tests.catalogs.conftest import NOON, record, row
from troupe.errors import NoFace, UnreadableMedia


def info(jobs: int = 100, **changes: Any) -> RunInfo:
    now = datetime.now(UTC)
    values = {"state": "running", "started_at": NOON, "updated_at": now, "jobs": jobs, "where": "host:1", **changes}
    return RunInfo("r1", **values)


def ended(number: int, at: timedelta, status: str = "done", **columns: Any) -> Row:
    return row("r1", f"job-{number}", status, **columns) | {"finished_at": NOON + at}


def test_rate_and_time_left(folder_store: Store) -> None:
    rows = [ended(n, timedelta(seconds=6 * (n + 1)), frames=30, attempts=1, stages={"denoise": 1.0}) for n in range(20)]
    record(folder_store, "r1", [*rows, ended(20, timedelta(seconds=1), "reused", frames=1000)])
    found = run_progress(JobIndex(folder_store), info(counts={"done": 20, "reused": 1}))
    assert found.waiting == 79
    assert found.jobs_per_minute == pytest.approx(10)
    assert found.frames_per_second == pytest.approx(5)
    assert found.seconds_left == pytest.approx(79 * 6)
    over = run_progress(JobIndex(folder_store), info(state="completed", counts={"done": 20}))
    assert over.seconds_left is None


def test_only_the_last_minutes_count(folder_store: Store) -> None:
    slow = [ended(n, timedelta(minutes=10 * n)) for n in range(6)]
    fast = [ended(10 + n, timedelta(minutes=60, seconds=n)) for n in range(60)]
    record(folder_store, "r1", [*slow, *fast])
    found = run_progress(JobIndex(folder_store), info())
    assert found.jobs_per_minute == pytest.approx(60 / (10 + 59 / 60), rel=0.2)


def test_before_any_row_is_committed(folder_store: Store) -> None:
    run = info(counts={"done": 5, "failed": 1, "reused": 50}, updated_at=NOON + timedelta(minutes=2))
    found = run_progress(JobIndex(folder_store), run)
    assert found.jobs_per_minute == pytest.approx(3)
    assert found.failures == []
    assert run_progress(JobIndex(folder_store), info(jobs=0)).jobs_per_minute is None


def test_failures(folder_store: Store) -> None:
    rows = [
        row("r1", "a", "failed", error=NoFace("no face in a.png")),
        row("r1", "b", "failed", error=NoFace("no face in b.png")),
        row("r1", "c", "failed", error=UnreadableMedia("cannot read s3://key:secret@bucket/c.png")),
        row("r2", "d", "failed", error=NoFace("of another run")),
        row("r1", "a"),  # retried
    ]
    record(folder_store, "r1", [entry for entry in rows if entry["run_id"] == "r1"])
    record(folder_store, "r2", [entry for entry in rows if entry["run_id"] == "r2"])
    found = run_progress(JobIndex(folder_store), info())
    assert [failure["job_id"] for failure in found.failures] == ["c", "b"]
    assert found.failed == {"no_face": 1, "unreadable_media": 1}
    assert "secret" not in str(found.failures)
