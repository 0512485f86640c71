"""catalogs.retention.evict: caches within limits, no orphans; renders, rows and live runs stay untouched."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import Mock
from uuid import uuid4

import boto3
import pytest

from catalogs.retention import evict
from catalogs.retention.evict import maintain
from catalogs.store.store import Store, open_store
from catalogs.table.runs import RunInfo, write_run
from tests.s3 import BUCKET
from troupe.errors import SettingsError

DAY = 86400


def put(store: Store, key: str, size: int, days: float) -> None:
    """Put a file of an age in days."""
    store.put_bytes(b"x" * size, key)
    then = time.time() - days * DAY
    os.utime(Path(store.url) / key, (then, then))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(str(tmp_path / "store"))
    put(store, "cache/appearance/old.safetensors", 3_000_000, 100)
    put(store, "cache/motion/middle.safetensors", 2_000_000, 10)
    put(store, "cache/tracks/new.parquet", 1_000_000, 1)
    put(store, "cache/hashes/r.parquet", 10, 400)
    put(store, "renders/whole/full.mp4", 10, 400)
    put(store, "renders/whole/render.json", 10, 400)
    put(store, "renders/lost/full.mp4", 500, 3)
    put(store, "renders/coming/full.mp4", 10, 0.1)
    put(store, "renders/coming/poster.jpg", 10, 2)
    half = Path(store.url) / "renders" / "whole" / ".0123.part"
    half.write_bytes(b"half")
    os.utime(half, (0, 0))
    return store


def test_age_and_orphans(store: Store) -> None:
    would = maintain(store.url, max_age_days=90, dry_run=True)
    assert (would.evicted, would.orphans, would.cached_bytes) == (1, 2, 3_000_000)
    assert len(store.entries()) == 10
    assert maintain(store.url, max_age_days=90) == would
    assert [entry.key for entry in store.entries()] == [
        "cache/hashes/r.parquet",
        "cache/motion/middle.safetensors",
        "cache/tracks/new.parquet",
        "renders/coming/full.mp4",
        "renders/coming/poster.jpg",
        "renders/whole/full.mp4",
        "renders/whole/render.json",
    ]
    assert maintain(store.url, max_age_days=90).line().startswith("0 cached files evicted (0.00 GB), 0 orphans")


def test_pictures_are_evicted_as_a_whole_and_unfinished_ones_are_orphans(store: Store) -> None:
    for name, days in {"full.mp4": 100, "poster.jpg": 100, "render.json": 100}.items():
        put(store, f"cache/pictures/old/{name}", 10, days)
        put(store, f"cache/pictures/new/{name}", 10, 1)
    put(store, "cache/pictures/unfinished/full.mp4", 10, 3)
    assert maintain(store.url, max_age_days=90).evicted == 2  # the appearance and the picture
    assert {entry.key.split("/")[2] for entry in store.entries("cache/pictures")} == {"new"}


def test_size_takes_the_oldest_first(store: Store) -> None:
    assert maintain(store.url, max_gigabytes=0.0011).evicted == 2
    assert [entry.key for entry in store.entries("cache/tracks")] == ["cache/tracks/new.parquet"]
    assert maintain(store.url).evicted == 0, "without bounds nothing goes"
    with pytest.raises(SettingsError, match="negative"):
        maintain(store.url, max_age_days=-1)


def test_caches_are_left_alone_while_a_run_is_live(store: Store) -> None:
    now = datetime.now(UTC)
    run = RunInfo("night", "running", now, now)
    write_run(store, run)
    done = maintain(store.url, max_age_days=1)
    assert (done.evicted, done.orphans) == (0, 2)
    assert "night" in done.line()
    write_run(store, replace(run, updated_at=now - timedelta(hours=2)))
    assert maintain(store.url, max_age_days=5).evicted == 2, "a lost run holds up nothing"


def test_a_bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(f"s3://{BUCKET}/maintained-{uuid4().hex}")
    for key in ("cache/motion/a.safetensors", "renders/k/full.mp4", "runs/r/manifest.parquet"):
        store.put_bytes(b"xyz", key)
    assert all(entry.modified for entry in store.entries())
    assert [entry.bytes for entry in store.entries()] == [3, 3, 3]
    assert maintain(store.url, max_age_days=0.5) == maintain(store.url, max_age_days=0.5)
    monkeypatch.setattr(evict, "ORPHAN", timedelta(seconds=-5))
    assert maintain(store.url, max_gigabytes=0).orphans == 1
    assert store.list() == ["runs/r/manifest.parquet"]
    store.delete("never/there")


def test_uploads_that_were_never_finished(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = boto3.client("s3")

    def begin(key: str) -> None:
        """Start an upload as a process does that is killed in the middle of a large file."""
        upload = client.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
        client.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=1, Body=b"x" * 100)

    folder = f"uploads-{uuid4().hex}"
    store = open_store(f"s3://{BUCKET}/{folder}")
    for key in (f"{folder}/renders/k/full.mp4", f"{folder}/catalog/part.parquet", f"{folder}-other/renders/k/full.mp4"):
        begin(key)
    assert {upload.key for upload in store.uploads()} == {"catalog/part.parquet", "renders/k/full.mp4"}
    assert maintain(store.url, dry_run=True).uploads == 2
    assert "2 unfinished uploads aborted" in maintain(store.url).line()
    assert store.uploads() == []
    assert len(open_store(f"s3://{BUCKET}/{folder}-other").uploads()) == 1
    begin(f"{folder}/renders/k/full.mp4")
    (young,) = store.uploads()
    # The test server reports that every upload started in 2010.
    monkeypatch.setattr(evict, "ORPHAN", datetime.now(UTC) - young.started + timedelta(minutes=1))
    assert maintain(store.url).uploads == 0, "it may be under way"
    store.abort(young)
    store.abort(young)
    monkeypatch.setattr("catalogs.store.backends.s3.uploads", Mock(side_effect=PermissionError("not yours")))
    assert "not yours" in maintain(store.url).line()
