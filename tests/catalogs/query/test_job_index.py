"""The index of a catalog's jobs: the latest rows, as the table grows, is compacted and is replaced."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from catalogs.query.job_index import JobIndex
from catalogs.query.jobs import list_jobs
from catalogs.store.store import Store
from catalogs.table.compaction import compact
from tests.catalogs.conftest import record, row
from troupe.errors import SettingsError


def statuses(index: JobIndex, *columns: str) -> list[tuple[str, str, str]]:
    """Return the jobs of an index, in order."""
    rows = index.jobs(["status", *columns]).to_pylist()
    return sorted((entry["run_id"], entry["job_id"], entry["status"]) for entry in rows)


def listed(store: Store) -> list[tuple[str, str, str]]:
    """Return the jobs that `troupe catalog ls` lists."""
    rows = list_jobs(store).to_pylist()
    return sorted((entry["run_id"], entry["job_id"], entry["status"]) for entry in rows)


def test_the_latest_rows_of_every_kind_of_store(two_runs: Store) -> None:
    index = JobIndex(two_runs, check_seconds=0)
    assert statuses(index) == listed(two_runs)
    version = index.version
    record(two_runs, "r3", [row("r3", "x")])
    record(two_runs, "r1", [row("r1", "d")])
    assert ("r1", "d", "done") in statuses(index, "identity")
    assert statuses(index) == listed(two_runs)
    assert index.version != version
    with pytest.raises(SettingsError, match="no column"):
        index.jobs(["nothing"])


def test_a_catalog_that_begins_empty(store: Store) -> None:
    index = JobIndex(store, check_seconds=0)
    assert statuses(index) == []
    record(store, "r1", [row("r1", "a")])
    assert statuses(index) == [("r1", "a", "done")]


def test_only_new_files_are_read(folder_store: Store) -> None:
    record(folder_store, "r1", [row("r1", "a"), row("r1", "b", "failed")], every_rows=1)
    index = JobIndex(folder_store, check_seconds=0)
    assert len(statuses(index, "identity")) == 2
    for file in Path(folder_store.url).glob("catalog/*.parquet"):
        file.unlink()
    record(folder_store, "r2", [row("r2", "c")])
    assert statuses(index, "identity") == [("r1", "a", "done"), ("r1", "b", "failed"), ("r2", "c", "done")]


def test_a_compacted_and_a_replaced_table(folder_store: Store) -> None:
    record(folder_store, "r1", [row("r1", "a"), row("r1", "b", "failed"), row("r1", "b")], every_rows=1)
    index = JobIndex(folder_store, check_seconds=0, reopen_seconds=0)
    assert statuses(index) == [("r1", "a", "done"), ("r1", "b", "done")]
    compact(folder_store)
    assert statuses(index, "identity") == [("r1", "a", "done"), ("r1", "b", "done")]
    shutil.rmtree(Path(folder_store.url) / "catalog")
    record(folder_store, "r2", [row("r2", "c")])
    assert statuses(index) == [("r2", "c", "done")]
