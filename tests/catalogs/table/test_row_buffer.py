"""Row buffers: rows reach the catalog in batches, and batches survive a killed run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from catalogs.query.jobs import list_jobs
from catalogs.store.store import Store
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.schema import SCHEMA
from catalogs.table.snapshot import snapshot
from tests.catalogs.conftest import recorded_jobs, row
from troupe.errors import SettingsError


def test_batches(store: Store) -> None:
    with RowBuffer(store, "r1", every_rows=3) as buffer:
        assert recorded_jobs(store) == []
        for n in range(8):
            buffer.append(row("r1", f"j{n}"))
            assert len(recorded_jobs(store)) == (n + 1) // 3 * 3
            assert len(buffer.pending) == (n + 1) % 3
    assert buffer.pending == ()
    assert recorded_jobs(store) == [f"j{n}" for n in range(8)]
    assert recorded_jobs(store, "r1") == recorded_jobs(store)
    assert recorded_jobs(store, "r2") == []
    read = snapshot(store).read()
    assert read.column_names == SCHEMA.names
    times = sorted(read.select(["job_id", "recorded_at"]).to_pylist(), key=lambda entry: entry["recorded_at"])
    assert [entry["job_id"] for entry in times] == [f"j{n}" for n in range(8)]
    assert len({entry["recorded_at"] for entry in times}) == 8


def test_rows_round_trip(store: Store) -> None:
    full = row("r1", "j", tags=[("k", "v")], face=(1, 2, 3, 4), gaps=[(0, 3)], quality_pose=0.5, bytes=2**40)
    with RowBuffer(store, "r1") as buffer:
        buffer.append(full)
        buffer.append(row("r1", "empty"))
    found = snapshot(store).read().sort_by([("job_id", "descending")]).to_pylist()
    assert {**found[0], "recorded_at": None} == full
    assert found[0]["recorded_at"] is not None


def test_a_buffer_without_rows_writes_nothing(store: Store) -> None:
    with RowBuffer(store, "r1"):
        pass
    assert store.list() == []
    assert snapshot(store).read().num_rows == 0


def test_a_row_waits_only_so_long(folder_store: Store) -> None:
    with RowBuffer(folder_store, "r1", every_seconds=0.05) as buffer:
        for name in ("a", "b"):
            buffer.append(row("r1", name))
            while buffer.pending:  # the test's time-out is the limit
                time.sleep(0.01)
            assert name in recorded_jobs(folder_store)


def test_the_rest_is_committed_when_the_run_fails(store: Store) -> None:
    def run() -> None:
        with RowBuffer(store, "r1") as buffer:
            buffer.append(row("r1", "a"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert recorded_jobs(store) == ["a"]


def test_rows_that_may_wait_are_committed_with_the_next_that_may_not(folder_store: Store) -> None:
    with RowBuffer(folder_store, "r1", every_rows=2) as buffer:
        for name in ("a", "b", "c"):
            buffer.append(row("r1", name, "cancelled"), may_wait=True)
        assert len(buffer.pending) == 3
        buffer.append(row("r1", "d"))
        assert buffer.pending == ()
        buffer.append(row("r1", "e", "cancelled"), may_wait=True)
    assert recorded_jobs(folder_store) == ["a", "b", "c", "d", "e"]


def test_an_impossible_run_id(store: Store) -> None:
    with pytest.raises(SettingsError, match="run_id"):
        RowBuffer(store, "../r1")


def test_threads(store: Store) -> None:
    with RowBuffer(store, "r1", every_rows=7) as buffer, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: buffer.append(row("r1", f"j{n:03d}")), range(100)))
    assert recorded_jobs(store) == [f"j{n:03d}" for n in range(100)]


CRASH = """
import sys, time
from catalogs.table.row_buffer import RowBuffer
from catalogs.store.store import open_store
from tests.catalogs.conftest import row
with RowBuffer(open_store(sys.argv[1]), "r1") as buffer:
    for n in range(250):
        buffer.append(row("r1", f"j{n:03d}"))
    print("appended", flush=True)
    time.sleep(600)
"""


def test_a_killed_run_keeps_its_batches(shared_store: Store) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CRASH, shared_store.url],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"appended\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert recorded_jobs(shared_store) == [f"j{n:03d}" for n in range(200)]
    with RowBuffer(shared_store, "r1") as buffer:  # the run is resumed
        for n in range(200, 250):
            buffer.append(row("r1", f"j{n:03d}"))
    assert recorded_jobs(shared_store) == [f"j{n:03d}" for n in range(250)]


def test_what_happened_later_counts_whatever_the_clocks_said(store: Store) -> None:
    """A row from a machine whose clock is fast does not outlive the success of the resumed run."""
    fast = datetime.now(UTC) + timedelta(days=300)
    with RowBuffer(store, "r1") as buffer:
        buffer._recorded = fast
        buffer.append(row("r1", "one", "failed"))
    with RowBuffer(store, "r1") as buffer:
        buffer.append(row("r1", "one"))
        buffer.append(row("r1", "two"))
    assert [(entry["job_id"], entry["status"]) for entry in list_jobs(store).to_pylist()] == [
        ("two", "done"),
        ("one", "done"),
    ]
    with RowBuffer(store, "r2") as buffer:
        buffer.append(row("r2", "one"))
    (other,) = list_jobs(store, run="r2").to_pylist()
    assert other["recorded_at"] < fast  # runs do not share a clock
