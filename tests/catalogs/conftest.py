"""Stores of three kinds; S3 is a real endpoint on loopback."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pyarrow as pa
import pytest
from hypothesis import settings

from catalogs.store.store import Store, open_store
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.schema import Row, make_row
from catalogs.table.snapshot import snapshot
from tests.s3 import BUCKET
from troupe import Job
from troupe.errors import NoFace

# Machines that test are busy; how long an example takes says nothing.
settings.register_profile("catalogs", deadline=None)
settings.load_profile("catalogs")

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["local", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store of every kind."""
    yield from _empty_store(request, tmp_path)


@pytest.fixture(params=["local", "s3"])
def shared_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store of the kinds that other processes see, and deltalake."""
    yield from _empty_store(request, tmp_path)


@pytest.fixture
def folder_store(tmp_path: Path) -> Store:
    """An empty store in a folder."""
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def two_runs(store: Store) -> Store:
    """A store with two runs, the first one resumed."""
    no_face = NoFace("no face")
    record(store, "r1", [row("r1", "a", identity="Ana"), row("r1", "b", "failed", error=no_face, identity="Bo")])
    record(store, "r2", [row("r2", "a", "reused", identity="Ana"), row("r2", "c", identity="Cy")], every_rows=1)
    record(
        store,
        "r1",
        [row("r1", "b", identity="Bo"), row("r1", "a", "reused", identity="Ana"), row("r1", "d", "cancelled")],
    )
    return store


def _empty_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    name = f"store-{uuid4().hex}"
    if request.param == "memory":
        yield open_store(f"memory://{name}")
        fsspec.filesystem("memory").store.clear()
    elif request.param == "s3":
        request.getfixturevalue("s3")
        yield open_store(f"s3://{BUCKET}/{name}")
    else:
        yield open_store(str(tmp_path / name))
        shutil.rmtree(tmp_path / name, ignore_errors=True)


def row(run_id: str, job_id: str, status: str = "done", **columns: Any) -> Row:
    """A row for tests, with a job of that name."""
    job = Job(job_id, f"/pictures/{job_id}.png", "/clips/wave.mp4", identity=columns.pop("identity", ""))
    end = NOON + timedelta(seconds=5)
    return make_row(run_id, job, status, started_at=NOON, finished_at=end, **columns)


def record(store: Store, run_id: str, rows: list[Row], every_rows: int = 100) -> None:
    """Append rows of a run to the catalog."""
    with RowBuffer(store, run_id, every_rows=every_rows) as buffer:
        for entry in rows:
            buffer.append(entry)


def recorded_jobs(store: Store, run: str | None = None) -> list[str]:
    """Return the sorted job_ids of all rows in the catalog, or of one run's."""
    return sorted(job_ids(snapshot(store, run).read(columns=["job_id"])))


def job_ids(table: pa.Table) -> list[str]:
    """Return the job_ids of a table, in its order."""
    return [str(name) for name in table.column("job_id").to_pylist()]


def sha256(data: bytes) -> str:
    """Return the SHA-256 hash of bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def record_resumed_run(store: Store) -> Store:
    """Record a run that was resumed, and another one; return the store."""
    with RowBuffer(store, "r1") as buffer:
        buffer.append(row("r1", "a", "failed", error=NoFace("no"), tags=[("scene", "1")]))
        buffer.append(row("r1", "b", frames=10, seconds=0.4, bytes=5, render_key="k1", quality_identity=0.5))
    with RowBuffer(store, "r1") as buffer:
        buffer.append(row("r1", "a", frames=20, seconds=0.8, bytes=5, render_key="k2", tags=[("scene", "1")]))
        buffer.append(row("r1", "b", "reused", frames=10, render_key="k1"))
    with RowBuffer(store, "r2") as buffer:
        buffer.append(row("r2", "c", "failed", error=NoFace("no"), stages={"denoise": 2.0}))
    return store
