"""catalogs.table.row_buffer and append: rows reach the catalog in batches, once, and survive a killed run."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from catalogs.store.store import Store, open_store
from catalogs.table import append
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.schema import SCHEMA, table_of
from catalogs.table.snapshot import open_table, snapshot
from tests.catalogs.conftest import row
from troupe.errors import SettingsError, StoreError


def jobs_in(store: Store, run: str | None = None) -> list[str]:
    return sorted(str(job) for job in snapshot(store, run).read(columns=["job_id"]).column("job_id").to_pylist())


def test_batches(store: Store) -> None:
    with RowBuffer(store, "r1", every_rows=3) as buffer:
        assert jobs_in(store) == []
        for n in range(8):
            buffer.append(row("r1", f"j{n}"))
            assert len(jobs_in(store)) == (n + 1) // 3 * 3
            assert len(buffer.pending) == (n + 1) % 3
    assert buffer.pending == ()
    assert jobs_in(store) == [f"j{n}" for n in range(8)]
    assert jobs_in(store, "r1") == jobs_in(store)
    assert jobs_in(store, "r2") == []
    read = snapshot(store).read()
    assert read.column_names == SCHEMA.names
    times = sorted(read.select(["job_id", "recorded_at"]).to_pylist(), key=lambda entry: entry["recorded_at"])
    assert [entry["job_id"] for entry in times] == [f"j{n}" for n in range(8)]
    assert len({entry["recorded_at"] for entry in times}) == 8


def test_what_is_written_is_read(store: Store) -> None:
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
            assert name in jobs_in(folder_store)


def test_the_rest_is_committed_when_the_run_fails(store: Store) -> None:
    def run() -> None:
        with RowBuffer(store, "r1") as buffer:
            buffer.append(row("r1", "a"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert jobs_in(store) == ["a"]


def test_rows_that_may_wait_are_committed_with_the_next_that_may_not(folder_store: Store) -> None:
    with RowBuffer(folder_store, "r1", every_rows=2) as buffer:
        for name in ("a", "b", "c"):
            buffer.append(row("r1", name, "cancelled"), may_wait=True)
        assert len(buffer.pending) == 3
        buffer.append(row("r1", "d"))
        assert buffer.pending == ()
        buffer.append(row("r1", "e", "cancelled"), may_wait=True)
    assert jobs_in(folder_store) == ["a", "b", "c", "d", "e"]


def test_an_impossible_run_id(store: Store) -> None:
    with pytest.raises(SettingsError, match="run_id"):
        RowBuffer(store, "../r1")


def test_threads(store: Store) -> None:
    with RowBuffer(store, "r1", every_rows=7) as buffer, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: buffer.append(row("r1", f"j{n:03d}")), range(100)))
    assert jobs_in(store) == [f"j{n:03d}" for n in range(100)]


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
    assert jobs_in(shared_store) == [f"j{n:03d}" for n in range(200)]
    with RowBuffer(shared_store, "r1") as buffer:  # the run is resumed
        for n in range(200, 250):
            buffer.append(row("r1", f"j{n:03d}"))
    assert jobs_in(shared_store) == [f"j{n:03d}" for n in range(250)]


def record(store: Store, run: str) -> None:
    with RowBuffer(store, run, every_rows=5) as buffer:
        for n in range(43):
            buffer.append(row(run, f"{run}-{n:02d}"))


def test_processes_that_commit_at_once(shared_store: Store) -> None:
    """From the very first commit, which makes the table."""
    runs = ["ra", "rb"]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(record, [shared_store] * 2, runs))
    assert jobs_in(shared_store) == sorted(f"{run}-{n:02d}" for run in runs for n in range(43))
    assert Counter(shared_store.list("catalog/_delta_log"))  # it was the Delta table


def test_threads_that_make_the_table_at_once(folder_store: Store) -> None:
    start = threading.Barrier(6)

    def first(n: int) -> None:
        start.wait()
        with RowBuffer(folder_store, f"r{n}") as buffer:
            buffer.append(row(f"r{n}", f"j{n}"))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(first, range(6)))
    assert jobs_in(folder_store) == [f"j{n}" for n in range(6)]
    logs = (Path(folder_store.url) / "catalog" / "_delta_log").glob("*.json")
    assert sum('"metaData"' in log.read_text() for log in logs) == 1


def test_one_run_in_two_processes_without_delta() -> None:
    """Parts of a run never take each other's number."""
    store = open_store(f"memory://parts-{time.monotonic_ns()}")
    with RowBuffer(store, "r1", every_rows=1) as one, RowBuffer(store, "r1", every_rows=1) as two:
        for n in range(3):
            one.append(row("r1", f"a{n}"))
            two.append(row("r1", f"b{n}"))
    assert store.list() == [f"runs/r1/parts/{n:05d}.parquet" for n in range(6)]
    assert jobs_in(store) == ["a0", "a1", "a2", "b0", "b1", "b2"]


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalogs.store.retry.time.sleep", lambda _: None)


def test_a_commit_whose_answer_is_lost_counts_once(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch, no_pause: None
) -> None:
    def lossy(*args: Any, **kwargs: Any) -> None:
        write_deltalake(*args, **kwargs)
        if next(lost):
            raise OSError("Generic S3 error: connection reset")

    lost = iter([False, True, False, True, False, False, False])
    monkeypatch.setattr(append, "write_deltalake", lossy)
    with RowBuffer(folder_store, "r1", every_rows=2) as buffer:
        for n in range(9):
            buffer.append(row("r1", f"j{n}"))
    assert jobs_in(folder_store) == [f"j{n}" for n in range(9)]


def test_a_commit_that_took_place_but_seemed_to_fail(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch, no_pause: None
) -> None:
    """Rows that come after it must not be taken for it."""

    def deaf(*args: Any, **kwargs: Any) -> None:
        write_deltalake(*args, **kwargs)
        raise OSError("Generic S3 error: connection reset")

    def unreachable(*_: Any) -> None:
        raise OSError("Generic S3 error: connection refused")

    with RowBuffer(folder_store, "r1", every_rows=2) as buffer:
        buffer.append(row("r1", "j0"))
        with monkeypatch.context() as patch:
            patch.setattr(append, "write_deltalake", deaf)
            patch.setattr(DeltaTable, "transaction_version", unreachable)
            with pytest.raises(StoreError, match="cannot commit 2 rows"):
                buffer.append(row("r1", "j1"))
        for n in range(2, 7):
            buffer.append(row("r1", f"j{n}"))
    assert jobs_in(folder_store) == [f"j{n}" for n in range(7)]


def test_rows_outlive_a_store_that_fails_for_a_while(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch, no_pause: None
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise OSError("Generic S3 error: \x1b[31mno route\x1b[0m\n   to host")

    with RowBuffer(folder_store, "r1", every_rows=2) as buffer:
        buffer.append(row("r1", "j0"))
        with monkeypatch.context() as patch:
            patch.setattr(append, "write_deltalake", broken)
            with pytest.raises(StoreError, match=r"cannot commit 2 rows .* no route to host; check the store"):
                buffer.append(row("r1", "j1"))
            assert [entry["job_id"] for entry in buffer.pending] == ["j0", "j1"]
            assert jobs_in(folder_store) == []
        buffer.append(row("r1", "j2"))
        assert jobs_in(folder_store) == ["j0", "j1"]  # the batch that failed goes first, as it was
    assert jobs_in(folder_store) == ["j0", "j1", "j2"]


def test_rows_that_cannot_be_committed_are_not_lost_in_silence(
    tmp_path: Path, no_pause: None, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    store = open_store(str(tmp_path / "file" / "store"))

    def run(error: Exception | None) -> None:
        with RowBuffer(store, "r1") as buffer:
            buffer.append(row("r1", "a"))
            if error:
                raise error

    with pytest.raises(StoreError, match=r"cannot commit 1 rows .*Not a directory"):
        run(None)
    with pytest.raises(RuntimeError, match="the run's own") as caught:
        run(RuntimeError("the run's own"))
    assert "1 rows of the run are not in the catalog" in caught.value.__notes__[0]
    assert "1 rows of the run are not in the catalog" in caplog.text


def test_a_table_with_columns_from_the_future(shared_store: Store) -> None:
    place = shared_store.delta()
    assert place is not None
    uri, options = place
    newer = table_of([row("r0", "future")]).append_column("mood", pa.array(["calm"]))
    write_deltalake(uri, newer, storage_options=options)
    with RowBuffer(shared_store, "r1") as buffer:
        buffer.append(row("r1", "now"))
    read = snapshot(shared_store).read().sort_by("job_id")
    assert read.column_names == [*SCHEMA.names, "mood"]
    assert read.column("mood").to_pylist() == ["calm", None]


def test_a_table_from_the_past(shared_store: Store) -> None:
    place = shared_store.delta()
    assert place is not None
    uri, options = place
    older = table_of([row("r0", "past", quality_pose=1.0)]).drop_columns(["quality_identity", "worker"])
    write_deltalake(uri, older, storage_options=options)
    assert snapshot(shared_store).read().column("worker").to_pylist() == [None]
    with RowBuffer(shared_store, "r1") as buffer:
        buffer.append(row("r1", "now", worker="w"))
    read = snapshot(shared_store).read().sort_by("job_id")
    assert read.column("worker").to_pylist() == ["w", None]
    assert read.column("quality_pose").to_pylist() == [None, 1.0]
    assert "worker" in DeltaTable(uri, storage_options=options).to_pyarrow_dataset().schema.names


def test_delta_without_pandas() -> None:
    """pandas is no dependency; that deltalake does not ask for it is what this relies on."""
    code = f"""
import sys
class NoPandas:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'")
sys.meta_path.insert(0, NoPandas())
sys.path[:0] = {sys.path!r}
from catalogs.table.row_buffer import RowBuffer
from catalogs.query.jobs import list_jobs, to_csv
from catalogs.store.store import open_store
from tests.catalogs.conftest import row
import tempfile
with tempfile.TemporaryDirectory() as folder:
    store = open_store(folder)
    with RowBuffer(store, "r1") as buffer:
        buffer.append(row("r1", "a"))
    print(to_csv(list_jobs(store, columns=["job_id", "finished_at"])))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "a,2026-03-01T12:00:05Z" in result.stdout


def test_deltalake_has_not_lost_what_is_used() -> None:
    assert deltalake.__version__ >= "1.5"
    with pytest.raises(StoreError, match="cannot hold a Delta table"):
        open_table(open_store("memory://x"))
