"""Commits to the catalog: concurrent ones, and ones that fail or seem to."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable, write_deltalake

from catalogs.store.store import Store, open_store
from catalogs.table import append
from catalogs.table.row_buffer import RowBuffer
from tests.catalogs.conftest import recorded_jobs, row
from troupe.errors import StoreError


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalogs.store.retry.time.sleep", lambda _: None)


def record_in_batches(store: Store, run: str) -> None:
    with RowBuffer(store, run, every_rows=5) as buffer:
        for n in range(43):
            buffer.append(row(run, f"{run}-{n:02d}"))


def test_processes_that_commit_at_once(shared_store: Store) -> None:
    """From the very first commit, which makes the table."""
    runs = ["ra", "rb"]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(record_in_batches, [shared_store] * 2, runs))
    assert recorded_jobs(shared_store) == sorted(f"{run}-{n:02d}" for run in runs for n in range(43))
    assert Counter(shared_store.list("catalog/_delta_log"))  # it was the Delta table


def test_threads_that_make_the_table_at_once(folder_store: Store) -> None:
    start = threading.Barrier(6)

    def first(n: int) -> None:
        start.wait()
        with RowBuffer(folder_store, f"r{n}") as buffer:
            buffer.append(row(f"r{n}", f"j{n}"))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(first, range(6)))
    assert recorded_jobs(folder_store) == [f"j{n}" for n in range(6)]
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
    assert recorded_jobs(store) == ["a0", "a1", "a2", "b0", "b1", "b2"]


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
    assert recorded_jobs(folder_store) == [f"j{n}" for n in range(9)]


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
    assert recorded_jobs(folder_store) == [f"j{n}" for n in range(7)]


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
            assert recorded_jobs(folder_store) == []
        buffer.append(row("r1", "j2"))
        assert recorded_jobs(folder_store) == ["j0", "j1"]  # the batch that failed goes first, as it was
    assert recorded_jobs(folder_store) == ["j0", "j1", "j2"]


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
