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
from catalogs.store.store import Store, open_store
from catalogs.table.audit import read_audit
from catalogs.table.manifest import write_manifest
from catalogs.table.row_buffer import RowBuffer
from tests.catalogs.conftest import row
from tests.catalogs.export.test_deliver import render
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


def test_what_cannot_be_revoked(filled: Store) -> None:
    with pytest.raises(SettingsError, match="did you mean"):
        revoke(filled, "R-12", "x")
    with pytest.raises(SettingsError, match="reason"):
        revoke(filled, "R-1", " ")
