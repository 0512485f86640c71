"""tasks.run.heartbeat: a run_id belongs to one living process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from catalogs.store.store import Store, open_store
from catalogs.table.runs import RunInfo, read_run, write_run
from tasks.run.heartbeat import Heartbeat
from troupe.errors import SettingsError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def running(store: Store, where: str, age: float = 1.0) -> None:
    beat = datetime.now(UTC) - timedelta(seconds=age)
    write_run(store, RunInfo("r1", "running", beat, beat, where=where))


@pytest.mark.parametrize("where", ["another-host:7", f"{socket.gethostname()}:{os.getppid()}"])
def test_a_run_that_is_alive_elsewhere_is_refused(store: Store, where: str) -> None:
    running(store, where)
    before = store.read("runs/r1/run.json")
    with pytest.raises(SettingsError, match="still running on") as refused, Heartbeat(store, "r1", {}):
        pass
    assert where in refused.value.message
    assert store.read("runs/r1/run.json") == before


def test_a_second_ctrl_c_is_the_runs_note(store: Store) -> None:
    with Heartbeat(store, "r1", {}) as heartbeat:
        heartbeat.start(1)
        heartbeat.fail(KeyboardInterrupt())
    run = read_run(store, "r1")
    assert (run.state, run.note) == ("cancelled", "ended by a second Ctrl-C")


def test_a_run_that_ended_can_be_resumed(store: Store) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    places = [("another-host:7", 600.0), (f"{socket.gethostname()}:{gone.pid}", 1.0), ("", 600.0)]
    for where, age in [*places, (f"{socket.gethostname()}:{os.getpid()}", 1.0)]:
        running(store, where, age)
        with Heartbeat(store, "r1", {}) as heartbeat:
            heartbeat.start(1)
            heartbeat.finish("done")
        assert read_run(store, "r1").state == "completed"
    with Heartbeat(store, "r2", {}):  # a new one
        pass
