"""Manifests: one row per job of a run, written from the catalog and read without it."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pyarrow.parquet as pq
import pytest

from catalogs.query.jobs import list_jobs
from catalogs.store.store import Store, open_store
from catalogs.table import manifest
from catalogs.table.manifest import manifest_rows, read_manifest, write_manifest
from catalogs.table.schema import SCHEMA
from catalogs.table.snapshot import latest_rows, snapshot
from tests.catalogs.conftest import job_ids, record, row
from troupe.errors import SettingsError, StoreError


def test_manifest(two_runs: Store, tmp_path: Path) -> None:
    assert write_manifest(two_runs, "r1") == "runs/r1/manifest.parquet"
    two_runs.get("runs/r1/manifest.parquet", tmp_path / "m.parquet")
    plain = pq.read_table(tmp_path / "m.parquet")
    assert [(entry["job_id"], entry["status"]) for entry in plain.to_pylist()] == [
        ("a", "done"),
        ("b", "done"),
        ("d", "cancelled"),
    ]
    assert plain.schema.equals(SCHEMA)
    assert plain.schema.metadata[b"troupe.schema_version"] == b"6"
    assert plain.column("error_kind").to_pylist() == [None] * 3
    assert read_manifest(two_runs, "r1").equals(plain)
    record(two_runs, "r1", [row("r1", "e")])
    write_manifest(two_runs, "r1")
    assert job_ids(read_manifest(two_runs, "r1")) == ["a", "b", "d", "e"]
    assert job_ids(list_jobs(two_runs, run="r1")) == ["e", "d", "b", "a"]


def test_a_manifest_of_more_rows_than_fit_into_memory(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_ROWS", 3)
    monkeypatch.setattr(manifest, "_FILES", 4)
    jobs = [f"j{n:02}" for n in range(23)]
    Random(5).shuffle(jobs)
    for first in range(0, 23, 5):
        record(store, "r1", [row("r1", job, "cancelled") for job in jobs[first : first + 5]])
        record(store, "r2", [row("r2", "other")])
    record(store, "r1", [row("r1", job) for job in jobs[::2]])
    write_manifest(store, "r1")
    written = read_manifest(store, "r1")
    assert job_ids(written) == sorted(jobs)
    assert written.equals(latest_rows(snapshot(store, "r1").read()).sort_by("job_id"))
    assert list(manifest_rows(store, "r1")) == written.to_pylist()


def test_missing_and_damaged_manifests(store: Store) -> None:
    with pytest.raises(StoreError, match=r"manifest\.parquet"):
        read_manifest(store, "r9")
    for wrong in (read_manifest, write_manifest):
        with pytest.raises(SettingsError, match="run_id"):
            wrong(store, "../r1")
    store.put_bytes(b"no parquet", "runs/r1/manifest.parquet")
    with pytest.raises(StoreError, match="is damaged"):
        read_manifest(store, "r1")


def test_a_run_without_parts_is_read_from_its_manifest() -> None:
    store = open_store("memory://manifest-only")
    record(store, "r1", [row("r1", "a"), row("r1", "b")])
    write_manifest(store, "r1")
    moved = open_store("memory://manifest-moved")
    moved.put_bytes(store.read("runs/r1/manifest.parquet"), "runs/r1/manifest.parquet")
    assert job_ids(list_jobs(moved)) == ["b", "a"]
    moved.put_bytes(b"no parquet", "runs/r2/parts/00000.parquet")
    with pytest.raises(StoreError, match=r"00000\.parquet is damaged"):
        list_jobs(moved)
    assert job_ids(list_jobs(moved, run="r1")) == ["b", "a"]
