"""Tables that other versions of troupe wrote."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from catalogs.query.jobs import list_jobs
from catalogs.query.sql import sql
from catalogs.review.columns import REVIEW_COLUMNS
from catalogs.store.store import Store, open_store
from catalogs.table.compaction import compact
from catalogs.table.manifest import write_manifest
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.schema import SCHEMA, VERSION, table_of
from tests.catalogs.conftest import row

VERSION_1 = Path(__file__).parent / "version1"
"""A store that the first version wrote: run `old` with a job that was done and one that failed."""


@pytest.fixture(params=["delta", "parts"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """The store of the first version, as a table and as plain files."""
    if request.param == "delta":
        shutil.copytree(VERSION_1, tmp_path / "store")
        return open_store(str(tmp_path / "store"))
    store = open_store(f"memory://{tmp_path.name}")
    store.put_bytes((VERSION_1 / "runs/old/manifest.parquet").read_bytes(), "runs/old/manifest.parquet")
    return store


def test_version_1(old: Store) -> None:
    assert VERSION > 1
    assert "flagged" not in pq.read_schema(VERSION_1 / "runs/old/manifest.parquet").names
    read = list_jobs(old)
    assert read.column_names == [*SCHEMA.names, *REVIEW_COLUMNS]
    first = {entry["job_id"]: entry for entry in read.to_pylist()}
    assert (first["a"]["frames"], first["a"]["tags"], first["a"]["quality_identity"]) == (10, [("scene", "1")], 0.75)
    assert (first["b"]["error_kind"], first["b"]["flagged"], first["b"]["schema_version"]) == ("no_face", None, 1)
    assert [first["a"][name] for name in ("notes", "audio_track", "video_track", "size")] == [None] * 4
    with RowBuffer(old, "new") as buffer:
        buffer.append(row("new", "c", flagged="identity 0.2", motion_key="m"))
    (added,) = list_jobs(old, run="new").to_pylist()
    assert [added[name] for name in ("audio_track", "video_track", "size")] == ["", "", "2160p"]
    assert [(e["job_id"], e["flagged"]) for e in list_jobs(old).to_pylist()] == [
        ("c", "identity 0.2"),
        *((e["job_id"], None) for e in read.to_pylist()),
    ]
    assert list_jobs(old, run="old").equals(read)
    assert first["a"]["identity"] == "Ana"
    assert list_jobs(old, identity=" ANA").column("job_id").to_pylist() == ["a"]
    assert sql(old, "SELECT job_id FROM jobs", identity="ana").column(0).to_pylist() == ["a"]
    assert sql(old, "SELECT job_id FROM jobs WHERE motion_key IS NULL ORDER BY 1").column(0).to_pylist() == ["a", "b"]
    if old.delta() is not None:
        before = list_jobs(old)
        compact(old, order=True)
        assert list_jobs(old).equals(before)


def test_a_column_from_the_future(old: Store) -> None:
    """It is read, kept by who does not know it, and written to manifests."""
    newer = table_of([row("future", "z")]).append_column("mood", pa.array(["calm"]))
    place = old.delta()
    if place is not None:
        write_deltalake(place[0], newer, mode="append", schema_mode="merge")
    else:
        sink = io.BytesIO()
        pq.write_table(newer, sink)
        old.put_bytes(sink.getvalue(), "runs/future/parts/00000.parquet")
    with RowBuffer(old, "future") as buffer:
        buffer.append(row("future", "y"))
    assert list_jobs(old).column_names == [*SCHEMA.names, "mood", *REVIEW_COLUMNS]
    moods = {entry["job_id"]: entry["mood"] for entry in list_jobs(old, columns=["job_id", "mood"]).to_pylist()}
    assert moods == {"a": None, "b": None, "y": None, "z": "calm"}
    assert sql(old, "SELECT job_id FROM jobs WHERE mood = 'calm'").column(0).to_pylist() == ["z"]
    write_manifest(old, "future")
    manifest = pq.read_table(io.BytesIO(old.read("runs/future/manifest.parquet")))
    assert manifest.column("mood").to_pylist() == [None, "calm"]
