"""Permissions, end to end: who may be shown, and who may not any more."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catalogs.consent.permission import Permission
from catalogs.consent.register import add_permissions
from catalogs.retention.forget import forget
from catalogs.retention.revoke import revoke
from catalogs.retention.store_policy import change_policy
from catalogs.store.store import Store, open_store
from catalogs.table.audit import read_audit, verify_audit
from flows.observe.progress import use_listener
from tasks.same_person import face_values
from tests.flows.jobs import JOB, RunJobs, manifest_rows
from troupe.progress import Progress

MIXED = (
    ({"consent": "R-1"}, ""),
    ({"consent": " r-1", "identity": "RUBY"}, ""),
    ({"consent": "R-1", "language": "fr"}, ""),
    ({"consent": "R-french", "language": "fr-CA"}, ""),
    ({"consent": "R-french", "language": "de"}, "consent"),
    ({"consent": "R-french"}, "consent"),
    ({"consent": "R-old"}, "consent"),
    ({"consent": "R-future"}, "consent"),
    ({"consent": "R-advertisement", "tags": "purpose=training"}, "consent"),
    ({"consent": "R-advertisement", "tags": "purpose=advertisement"}, ""),
    ({"consent": "R-clip"}, "consent"),
    ({"consent": "R-olive"}, "consent"),
    ({"consent": "R-revoked"}, "withdrawn"),
    ({"consent": "R-unknown"}, "consent"),
    ({}, "consent"),
)
"""Cells of jobs of Ruby, and the kind of their error."""


def register(store: Store) -> None:
    """Make the register that `MIXED` is about."""
    add_permissions(
        store,
        [
            Permission("R-1", "Ruby"),
            Permission("R-french", "Ruby", languages=("fr",)),
            Permission("R-old", "Ruby", valid_until=date(2020, 1, 1)),
            Permission("R-future", "Ruby", valid_from=date(2100, 1, 1)),
            Permission("R-advertisement", "Ruby", purposes=("advertisement",)),
            Permission("R-clip", "Ruby", clips=("other.mp4",)),
            Permission("R-olive", "Olive"),
            Permission("R-revoked", "Ruby"),
        ],
    )
    revoke(store, "R-revoked", "by letter")


def test_mixed_permissions_end_as_they_must(run_jobs: RunJobs, tmp_path: Path) -> None:
    """30 jobs: each of the mixed ones with and without sound, all of one picture."""
    store = open_store(str(tmp_path / "store"))
    register(store)
    change_policy(store, {"require_consent": True})
    jobs = [
        JOB | {"identity": "Ruby", "audio": audio, "job_id": f"{number}{audio}"} | cells
        for number, (cells, _) in enumerate(MIXED)
        for audio in ("driving", "none")
    ]
    summary = run_jobs(*jobs)
    rows = manifest_rows(summary)
    for number, (cells, kind) in enumerate(MIXED):
        for audio in ("driving", "none"):
            row = rows[f"{number}{audio}"]
            assert (row["error_kind"] or "") == kind, (cells, row["error"])
            assert (row["full_uri"] is None) == bool(kind)
    assert summary.pictures == 1
    # A run cannot loosen the policy of its store.
    assert run_jobs(JOB | {"identity": "Ruby"}, require_consent=False).counts == {"failed": 1}
    log = list(read_audit(store))
    assert [entry.event for entry in log] == ["consent"] * 8 + ["revoke", "policy", "run", "run"]
    assert log[-2].facts["counts"] == summary.counts
    assert not verify_audit(store).problems


class AtStart:
    """Calls a function when a run is planned and nothing is published yet."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    def note(self, text: str) -> None: ...
    def working(self, progress: Progress) -> None: ...
    def finished(self, row: Mapping[str, Any]) -> None: ...

    def started(self, jobs: int) -> None:
        self.act()


def test_consent_that_is_withdrawn_during_a_run(run_jobs: RunJobs, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    add_permissions(store, [Permission("R-1", "Ruby"), Permission("R-2", "Ruby")])

    def withdraw() -> None:
        revoke(store, "R-2", "by letter")
        forget(store, "olive", absent_ok=True)

    jobs = [
        JOB | {"identity": "Ruby", "consent": "R-1", "job_id": "kept"},
        JOB | {"identity": "Ruby", "consent": "r-2", "audio": "none", "job_id": "revoked"},
        JOB | {"identity": "Olive", "portrait": "portraits/olive.png", "job_id": "forgotten"},
    ]
    with use_listener(AtStart(withdraw)):
        rows = manifest_rows(run_jobs(*jobs))
    assert {name: row["error_kind"] for name, row in rows.items()} == {
        "kept": None,
        "revoked": "withdrawn",
        "forgotten": "withdrawn",
    }
    assert len(store.list("renders")) == 3  # video, poster and record of the one that is kept


def test_without_a_policy_what_a_permission_does_not_cover_is_noted(
    run_jobs: RunJobs, tmp_path: Path, cast: Path, weights: Path
) -> None:
    """A language, and the face in the portrait: here the permission's is as different from it as can be."""
    store = open_store(str(tmp_path / "store"))
    face = face_values(cast / "portraits/ruby.png", str(weights))
    opposite = base64.b64encode((-np.frombuffer(base64.b64decode(face["face"]), "<f4")).tobytes()).decode()
    add_permissions(store, [Permission("R-french", "Ruby", languages=("fr",), **face | {"face": opposite})])
    job = JOB | {"identity": "Ruby", "consent": "R-french"}
    summary = run_jobs(job)
    (row,) = manifest_rows(summary).values()
    assert row["status"] == "done"
    assert "language is not named" in row["notes"]
    assert row["consent_similarity"] == pytest.approx(-1, abs=1e-4)
    assert "not Ruby's" in row["flagged"]
    assert "1 done, 1 of them flagged, 1 of them not covered by a permission" in summary.line()
    assert run_jobs(job, require_consent=True).counts == {"failed": 1}
