"""Records of runs, also those of earlier versions."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest

from catalogs.store.store import Store, open_store
from catalogs.table.runs import (
    RunInfo,
    RunState,
    list_runs,
    list_runs_page,
    live_runs,
    read_run,
    silent_runs,
    write_run,
)


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


def test_a_run_whose_process_here_is_gone_crashed_for_every_reader(tmp_path: Path, now: datetime) -> None:
    store, host = open_store(str(tmp_path)), socket.gethostname()
    gone = subprocess.Popen(["true"])
    gone.wait()
    for where in (f"{host}:{gone.pid}", f"{host}:{os.getpid()}", "another-host:7"):
        write_run(store, RunInfo("r", "running", now, datetime.now(UTC), where=where))
        state = "crashed" if where.endswith(f":{gone.pid}") else "running"
        found = [read_run(store, "r"), *list_runs(store), *list_runs_page(store, 1).runs]
        assert [run.state for run in found] == [state] * 3, where
        assert found[0].note == (f"the process {where} is gone" if state == "crashed" else "")
        assert len(live_runs(store)) == (state == "running")
        assert len(live_runs(store, doubtful=True)) == 1, "caches are kept for it"
        assert silent_runs(store, 1) == [], "an event is sent after two minutes: containers may share a host's name"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the runs whose records are read from now on."""
    found: list[str] = []
    read = Store.read

    def noting(store: Store, key: str) -> bytes:
        found.append(key.split("/")[1])
        return read(store, key)

    monkeypatch.setattr(Store, "read", noting)
    return found


def write_at(store: Store, info: RunInfo) -> None:
    """Write a record when its last heartbeat was."""
    write_run(store, info)
    moment = info.updated_at.timestamp()
    os.utime(Path(store.url) / "runs" / info.run_id / "run.json", (moment, moment))


def nightly(store: Store, now: datetime) -> None:
    """Fifty runs of an hour each, one a night; the oldest, `long`, took until yesterday."""
    for night in range(50):
        start = now - timedelta(days=night + 1)
        write_at(store, RunInfo(f"night-{night:02}", "completed", start, start + timedelta(hours=1)))
    write_at(store, RunInfo("long", "completed", now - timedelta(days=60), now - timedelta(days=1)))


def test_only_the_latest_records_are_read(tmp_path: Path, now: datetime, reads: list[str]) -> None:
    store = open_store(str(tmp_path))
    nightly(store, now)
    assert [run.run_id for run in list_runs(store, 3)] == ["night-00", "night-01", "night-02"]
    # `long` is among the three that were written last; 16 records are read at a time.
    assert len(reads) == 3 + 16
    everything = [run.run_id for run in list_runs(store)]
    assert everything == [*(f"night-{night:02}" for night in range(50)), "long"]
    for limit in (1, 2, 17, 50, 51, 52):
        assert [run.run_id for run in list_runs(store, limit)] == everything[:limit]


def test_only_recent_records_are_read_for_live_runs(tmp_path: Path, now: datetime, reads: list[str]) -> None:
    store = open_store(str(tmp_path))
    nightly(store, now)
    write_at(store, RunInfo("live", "running", now - timedelta(days=9), now))
    write_at(store, RunInfo("killed", "running", now, now - timedelta(minutes=3)))
    assert [run.run_id for run in live_runs(store)] == ["live"]
    assert sorted(reads) == ["killed", "live"]


def test_crashed_runs_are_read_once(tmp_path: Path, now: datetime, reads: list[str]) -> None:
    store = open_store(str(tmp_path))
    write_at(store, RunInfo("live", "running", now, now))
    write_at(store, RunInfo("killed", "running", now, now - timedelta(minutes=3)))
    write_at(store, RunInfo("noticed", "crashed", now, now - timedelta(minutes=4)))
    assert [(run.run_id, run.state) for run in silent_runs(store, 20)] == [("killed", "crashed")]
    assert sorted(reads) == ["killed", "live", "noticed"]
