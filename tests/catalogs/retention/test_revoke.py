"""catalogs.retention.revoke: one permission of a person ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalogs.consent.permission import Permission
from catalogs.consent.register import add_permissions, is_revoked
from catalogs.export.deliver import deliver
from catalogs.query.jobs import list_jobs
from catalogs.retention.check_store import check_store
from catalogs.retention.revoke import revoke
from catalogs.store.renders import PICTURES
from catalogs.store.store import Store, open_store
from catalogs.table.audit import read_audit
from catalogs.table.manifest import write_manifest
from catalogs.table.row_buffer import RowBuffer
from tests.catalogs.conftest import row
from tests.catalogs.export.conftest import render
from troupe.errors import SettingsError


@pytest.fixture
def filled(store: Store) -> Store:
    """Ana with two permissions, and a job of another run that shares a video."""
    add_permissions(store, [Permission("R-1", "Ana"), Permission("R-2", "Ana")])
    for run, job, consent, key in (
        ("r1", "one", " r-1", "k1"),
        ("r1", "two", "R-2", "k2"),
        ("r2", "three", "", "k1"),
        ("r2", "four", "R-11", "k4"),
    ):
        columns = render(store, key) if (run, job) != ("r2", "three") else {"render_key": key}
        with RowBuffer(store, run) as buffer:
            buffer.append(row(run, job, identity="Ana", consent=consent, **columns))
        write_manifest(store, run)
    return store


def test_what_was_made_with_the_permission_is_deleted(filled: Store, tmp_path: Path) -> None:
    target = open_store(f"{tmp_path}/delivery")
    deliver(filled, list_jobs(filled, run="r1"), target, "{job_id}.mp4")
    before = filled.list()
    permission, planned = revoke(filled, "R-1", "by letter", dry_run=True)
    assert permission.reference == "R-1"
    assert filled.list() == before
    _, done = revoke(filled, "R-1", "by letter")
    assert done == planned
    assert (done.jobs, done.runs) == (2, ("r1", "r2"))
    assert done.exported == (f"{target.url}/one.mp4",)
    assert {r["job_id"]: r["status"] for r in list_jobs(filled).to_pylist()} == {
        "one": "forgotten",
        "two": "done",
        "three": "forgotten",
        "four": "done",
    }
    (row,) = (r for r in list_jobs(filled).to_pylist() if r["job_id"] == "one")
    assert (row["error_kind"], row["error"]) == ("withdrawn", "the permission R-1 was revoked: by letter")
    assert not [problem for problem in check_store(filled).problems if "forget" in problem.what]
    assert not filled.list("renders/k1")
    assert filled.list("renders/k2")
    assert is_revoked(filled, "R-1")
    entry = list(read_audit(filled, identity="ana"))[-1]
    assert entry.event == "revoke"
    assert entry.facts["reason"] == "by letter"
    assert revoke(filled, "r-1", "again")[1].jobs == 0


def test_what_films_of_other_permissions_need_stays(folder_store: Store) -> None:
    """The encoded portrait with its thumbnail, and the picture, unless all of their films are deleted."""
    store = folder_store
    add_permissions(store, [Permission("R-1", "Ana"), Permission("R-2", "Ana")])
    shared = [f"cache/appearance/head.{suffix}" for suffix in ("jpg", "safetensors", "sha256")]
    shared += [f"{PICTURES}/p1/{name}" for name in ("picture.mp4", "render.json")]
    for key in (*shared, "cache/appearance/own.jpg", f"{PICTURES}/p2/picture.mp4"):
        store.put_bytes(b"x", key)
    for job, consent, columns in (
        ("fr", "R-1", {"appearance_key": "head", "picture_key": "p1"}),
        ("en", "R-2", {"appearance_key": "head", "picture_key": "p1"}),
        ("de", "R-1", {"appearance_key": "own", "picture_key": "p2"}),
    ):
        files = render(store, f"k-{job}")
        with RowBuffer(store, "r1") as buffer:
            buffer.append(row("r1", job, identity="Ana", consent=consent, **(files | columns)))
    write_manifest(store, "r1")
    assert revoke(store, "R-1", "by letter")[1].jobs == 2
    assert [key for key in shared if store.exists(key)] == shared
    assert not store.list(f"{PICTURES}/p2")
    assert not store.exists("cache/appearance/own.jpg")
    assert not store.list("renders/k-fr")
    assert store.list("renders/k-en")
    revoke(store, "R-2", "by letter")
    assert not [key for key in shared if store.exists(key)]


def test_what_cannot_be_revoked(filled: Store) -> None:
    with pytest.raises(SettingsError, match="did you mean"):
        revoke(filled, "R-12", "x")
    with pytest.raises(SettingsError, match="reason"):
        revoke(filled, "R-1", " ")
