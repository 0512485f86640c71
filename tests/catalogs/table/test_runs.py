"""Records of runs, also those of earlier versions."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest

from catalogs.store.store import open_store
from catalogs.table.runs import RunInfo, RunState, list_runs, read_run, write_run


@pytest.fixture
def now() -> datetime:
    """The time of this test: a heartbeat from when the module was imported is too old at the end of a long run."""
    return datetime.now(UTC)


def test_states_are_prefects() -> None:
    from prefect.client.schemas.objects import StateType

    assert {state.upper() for state in get_args(RunState)} < {kind.value for kind in StateType}


@pytest.mark.parametrize(
    ("was", "state"),
    [
        ("running", "running"),
        ("done", "completed"),
        ("failed", "completed"),  # finished, with failed jobs
        ("stopped", "cancelled"),
        ("broken", "failed"),
        ("lost", "crashed"),
    ],
)
def test_states_of_earlier_versions(tmp_path: Path, was: str, state: str, now: datetime) -> None:
    store = open_store(str(tmp_path))
    record = {"run_id": "r", "state": was, "started_at": now.isoformat(), "updated_at": now.isoformat()}
    store.replace(json.dumps(record).encode(), "runs/r/run.json")
    assert read_run(store, "r").state == state
    assert [run.state for run in list_runs(store)] == [state]


def test_a_record_is_read_as_written(tmp_path: Path, now: datetime) -> None:
    store = open_store(str(tmp_path))
    for state in get_args(RunState):
        info = RunInfo(state, state, now, now, jobs=2, counts={"done": 1, "failed": 1})
        write_run(store, info)
        assert read_run(store, state) == info


def test_a_run_without_a_heartbeat_crashed(tmp_path: Path, now: datetime) -> None:
    store = open_store(str(tmp_path))
    write_run(store, RunInfo("r", "running", now, now - timedelta(minutes=3)))
    assert read_run(store, "r").state == "crashed"
