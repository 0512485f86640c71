"""Queries for jobs: which rows count, in which order, as of when, and as CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from catalogs.query.jobs import latest_run, list_jobs, to_csv, to_json
from catalogs.review.columns import REVIEW_COLUMNS
from catalogs.store.store import Store, open_store
from catalogs.table.schema import SCHEMA
from tests.catalogs.conftest import job_ids, record, row
from troupe.errors import SettingsError, StoreError


def test_list_jobs(two_runs: Store) -> None:
    everything = list_jobs(two_runs)
    assert everything.column_names == [*SCHEMA.names, *REVIEW_COLUMNS]
    listed = [(entry["run_id"], entry["job_id"], entry["status"]) for entry in everything.to_pylist()]
    assert listed == [
        ("r1", "d", "cancelled"),
        ("r1", "b", "done"),
        ("r2", "c", "done"),
        ("r2", "a", "reused"),
        ("r1", "a", "done"),
    ]
    assert job_ids(list_jobs(two_runs, status="done")) == ["b", "c", "a"]
    assert job_ids(list_jobs(two_runs, status="failed")) == []
    assert job_ids(list_jobs(two_runs, run="r2")) == ["c", "a"]
    assert job_ids(list_jobs(two_runs, identity="Ana")) == ["a", "a"]
    assert job_ids(list_jobs(two_runs, identity="Ana", run="r1", status="done")) == ["a"]
    assert job_ids(list_jobs(two_runs, limit=2)) == ["d", "b"]
    assert job_ids(list_jobs(two_runs, limit=0)) == []
    assert list_jobs(two_runs, limit=1, columns=["status", "run_id"]).to_pylist() == [
        {"status": "cancelled", "run_id": "r1"}
    ]
    assert latest_run(two_runs) == "r1"


def test_filter_values_are_never_executed(two_runs: Store) -> None:
    for nasty in ("x' OR '1'='1", '"; DROP TABLE catalog; --', "../r1", "", "r1/parts"):
        assert list_jobs(two_runs, identity=nasty).num_rows == (1 if nasty == "" else 0)
        assert list_jobs(two_runs, run=nasty).num_rows == 0
        with pytest.raises(SettingsError, match="unknown status"):
            list_jobs(two_runs, status=nasty)
        with pytest.raises(SettingsError, match="no column"):
            list_jobs(two_runs, columns=["job_id", nasty + " FROM x"])
    with pytest.raises(SettingsError, match="0 or more"):
        list_jobs(two_runs, limit=-1)


def test_an_empty_catalog(store: Store) -> None:
    assert list_jobs(store).num_rows == 0
    assert list_jobs(store, columns=["job_id"]).column_names == ["job_id"]
    assert latest_run(store) is None
    assert to_csv(list_jobs(store, columns=["job_id"])) == "job_id\n"
    assert to_json(list_jobs(store)) == "[]"


def test_csv_is_harmless_in_a_spreadsheet(folder_store: Store) -> None:
    nasty = ["=1+1", "+1", "-1", "@x", " =cmd|'/c calc'!A1", "\t=1", "\uff1d1+1", "fine", 'quote", and\nline']
    rows = [row("r1", f"j{n}", identity=text, quality_pose=-0.5, tags=[("k", "=1")]) for n, text in enumerate(nasty)]
    record(folder_store, "r1", rows)
    table = list_jobs(folder_store, columns=["job_id", "identity", "quality_pose", "tags", "finished_at", "width"])
    parsed = {entry["job_id"]: entry for entry in csv.DictReader(io.StringIO(to_csv(table)))}
    for n, text in enumerate(nasty):
        assert parsed[f"j{n}"]["identity"] == (text if n > 6 else "'" + text)
    assert parsed["j0"] == {
        "job_id": "j0",
        "identity": "'=1+1",
        "quality_pose": "-0.5",
        "tags": '{"k": "=1"}',
        "finished_at": "2026-03-01T12:00:05Z",
        "width": "",
    }


def test_json(folder_store: Store) -> None:
    nasty = '<script>"é'
    record(folder_store, "r1", [row("r1", "a", identity=nasty, tags=[("k", "v")], face=(1, 2, 3, 4), gaps=[(1, 2)])])
    (entry,) = json.loads(to_json(list_jobs(folder_store)))
    assert list(entry) == [*SCHEMA.names, *REVIEW_COLUMNS]
    assert (entry["identity"], entry["tags"], entry["face"]) == (
        nasty,
        {"k": "v"},
        {"x1": 1, "y1": 2, "x2": 3, "y2": 4},
    )
    assert (entry["gaps"], entry["finished_at"]) == ([{"first": 1, "stop": 2}], "2026-03-01T12:00:05Z")
    assert json.loads(to_json(pa.table({"x": [float("inf"), None, 1.5]}))) == [{"x": None}, {"x": None}, {"x": 1.5}]


def test_the_newest_rows_are_found_without_reading_the_others(folder_store: Store) -> None:
    """A job that was found again counts where it was done, however far back that is."""
    record(folder_store, "r0", [row("r0", "first")])
    for n in range(20):
        record(folder_store, f"r{n + 1}", [row(f"r{n + 1}", f"j{n}")])
    record(folder_store, "r0", [row("r0", "first", "reused")])
    assert job_ids(list_jobs(folder_store, limit=3)) == ["j19", "j18", "j17"]
    assert job_ids(list_jobs(folder_store)) == [*(f"j{n}" for n in reversed(range(20))), "first"]
    assert job_ids(list_jobs(folder_store, limit=1, status="reused")) == []
    files = sorted(Path(folder_store.url).glob("catalog/*.parquet"), key=lambda path: path.stat().st_mtime_ns)
    for old in files[1:11]:
        old.unlink()
    assert job_ids(list_jobs(folder_store, limit=3)) == ["j19", "j18", "j17"]
    with pytest.raises(StoreError):
        list_jobs(folder_store)


def test_the_catalog_as_of_an_earlier_time(shared_store: Store) -> None:
    record(shared_store, "r1", [row("r1", "a")])
    then = datetime.now(UTC)
    record(shared_store, "r2", [row("r2", "b")])
    assert job_ids(list_jobs(shared_store, as_of=then)) == ["a"]
    assert job_ids(list_jobs(shared_store, as_of=1)) == ["a"]
    assert job_ids(list_jobs(shared_store, as_of=2)) == ["b", "a"]
    assert job_ids(list_jobs(shared_store, as_of=then - timedelta(days=999))) == []
    for never in (99, then.replace(tzinfo=None)):
        with pytest.raises(SettingsError, match=r"has no (state|version)|no time zone"):
            list_jobs(shared_store, as_of=never)


def test_the_catalog_as_of_an_earlier_time_without_delta() -> None:
    store = open_store("memory://past")
    record(store, "r1", [row("r1", "a")])
    then = datetime.now(UTC)
    record(store, "r2", [row("r2", "b")])
    assert job_ids(list_jobs(store, as_of=then)) == ["a"]
    with pytest.raises(SettingsError, match="no versions"):
        list_jobs(store, as_of=1)
