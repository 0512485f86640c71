"""catalogs.table.compaction: compaction and vacuum do not change what is read."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from catalogs.query.jobs import list_jobs
from catalogs.query.statistics import table_state
from catalogs.store.store import Store, open_store
from catalogs.table.compaction import Compaction, compact, vacuum
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.snapshot import snapshot
from tests.catalogs.conftest import row
from troupe.errors import SettingsError


def fill(store: Store, count: int = 6) -> None:
    for n in range(count):
        with RowBuffer(store, f"r{n}") as buffer:
            buffer.append(row(f"r{n}", "a", identity=f"p{n % 2}", tags=[("n", str(n))], gaps=[(0, n)]))


@pytest.mark.parametrize("order", [False, True])
def test_compaction(shared_store: Store, order: bool) -> None:
    assert compact(shared_store) == Compaction(0, 0, 0)
    fill(shared_store)
    before = list_jobs(shared_store)
    done = compact(shared_store, order=order)
    assert (done.removed, done.added) == (6, 1)
    assert list_jobs(shared_store).equals(before)
    assert list_jobs(shared_store, limit=2).equals(before.slice(0, 2))
    assert list_jobs(shared_store, as_of=3).num_rows == 3
    state = table_state(shared_store)
    assert state is not None
    assert (state.files, state.version) == (1, done.version)
    fill(shared_store, 1)  # the run resumes
    assert list_jobs(shared_store).num_rows == 6
    assert snapshot(shared_store).read().num_rows == 7


def test_nothing_to_compact(folder_store: Store) -> None:
    fill(folder_store, 1)
    assert compact(folder_store) == Compaction(0, 0, 1)


def test_vacuum_keeps_recent_and_referenced_files(folder_store: Store) -> None:
    assert vacuum(folder_store, timedelta(hours=1)) == []
    fill(folder_store)
    compact(folder_store)
    assert vacuum(folder_store, timedelta(hours=1)) == []
    assert list_jobs(folder_store).num_rows == list_jobs(folder_store, as_of=6).num_rows == 6
    left = [Path(folder_store.url, "catalog", f"part-0000{n}-left-by-a-killed-writer.parquet") for n in range(2)]
    for file in left:
        file.write_bytes(b"x")
    long_ago = time.time() - 7300
    os.utime(left[0], (long_ago, long_ago))
    assert vacuum(folder_store, timedelta(hours=2), dry_run=True) == [left[0].name]
    assert left[0].exists()
    assert vacuum(folder_store, timedelta(hours=2)) == [left[0].name]
    assert [file.exists() for file in left] == [False, True]
    assert list_jobs(folder_store).num_rows == list_jobs(folder_store, as_of=6).num_rows == 6
    for wrong in (timedelta(minutes=59), timedelta(minutes=90), timedelta(0)):
        with pytest.raises(SettingsError, match="whole number of hours"):
            vacuum(folder_store, wrong)


def test_a_store_without_delta_needs_no_maintenance() -> None:
    store = open_store("memory://upkeep")
    for call in (lambda: compact(store), lambda: vacuum(store, timedelta(hours=1))):
        with pytest.raises(SettingsError, match="no maintenance"):
            call()
