"""`troupe runs` and `troupe retry` on records of runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalogs.requests.jobs_file import write_request
from catalogs.store.store import open_store
from catalogs.table.runs import RunInfo, write_run
from tests.flows.cli.conftest import NOW, troupe
from troupe import Job


@pytest.fixture
def cancelled(tmp_path: Path) -> str:
    """A store with a run that was cancelled before its only job began."""
    store = open_store(str(tmp_path / "store"))
    write_request(store, "mine", [Job("one", "p.png", "d.mp4")])
    note = "run mine: 1 cancelled; 0 pictures and 0 films made"
    facts = {"jobs": 1, "counts": {"cancelled": 1}, "request": {"weights": "w"}, "note": note}
    write_run(store, RunInfo("mine", "cancelled", NOW, NOW, **facts))
    return store.url


def test_a_cancelled_run_is_counted(cancelled: str) -> None:
    header, row = (line.split("\t") for line in troupe("runs", "--store", cancelled).stdout.splitlines())
    values = dict(zip(header, row, strict=True))
    assert [values[name] for name in ("jobs", "done", "reused", "failed", "cancelled")] == ["1", "0", "0", "0", "1"]
    assert values["note"] == "1 cancelled; 0 pictures and 0 films made"


def test_retrying_a_cancelled_run_says_how_it_is_resumed(cancelled: str) -> None:
    result = troupe("retry", "mine", "--store", cancelled)
    assert result.exit_code == 0, result.output
    assert "no failed jobs to retry" in result.stderr
    assert "--run-id mine" in result.stderr
