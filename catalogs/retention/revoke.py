"""Revoke a permission: delete what was made with it, and refuse new jobs that name it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from catalogs.consent.permission import Permission
from catalogs.consent.register import find_permission, mark_revoked, near_references
from catalogs.retention.forget import ForgetReport, delete_renders, exported_copies, files_of
from catalogs.store.store import Store
from catalogs.table.audit import append_audit
from catalogs.table.snapshot import latest_rows, snapshot
from troupe.errors import SettingsError
from troupe.labels import label_key

__all__ = ["revoke"]

_JOB = ("run_id", "job_id")
_SHARED = ("appearance_key", "picture_key")
"""Columns with keys of what films share that are not deleted together."""


def revoke(store: Store, reference: str, reason: str, *, dry_run: bool = False) -> tuple[Permission, ForgetReport]:
    """Revoke a permission, and delete the renders of the jobs that name it; the person's other permissions stay.

    So do the encoded portrait and the picture of a film, as long as another film that is not deleted has them.

    Live runs do not publish such jobs any more. Can be repeated, and should be after a run that was in
    progress meanwhile. A video that other jobs share is deleted for these, too.

    Args:
        reference: the permission, in any spelling.
        reason: why, for the register and the audit log.
        dry_run: whether to count only.

    Returns:
        the permission, and what was deleted; the exported copies are listed and not deleted.

    Raises:
        SettingsError: there is no such permission, or no reason is given.
        StoreError: something could not be deleted; run again.
    """
    if not reason.strip():
        raise SettingsError("give the reason of the revocation")
    permission = find_permission(store, reference)
    if permission is None:
        hint = near_references(store, reference) or f"{store.command('consent ls')} lists them"
        raise SettingsError(f"{store.url} has no permission {reference}; {hint}")
    rows = _rows_with(store, reference)
    jobs = rows.filter(pc.field("status") != "forgotten")
    kept = _needed_by_others(store, rows)
    files = files_of(store, rows, kept)
    runs = tuple(sorted({str(run) for run in jobs.column("run_id").to_pylist()}))
    report = ForgetReport(len(jobs), len(files), runs, exported_copies(store, rows))
    if dry_run:
        return permission, report
    # First, so that nothing deleted is rendered again.
    mark_revoked(store, reference, reason)
    delete_renders(store, jobs, files, f"the permission {permission.reference} was revoked: {reason}", kept)
    facts = {"reference": permission.reference, "reason": reason, "jobs": report.jobs, "files": report.files}
    append_audit(store, "revoke", facts | {"exported": len(report.exported)}, [permission.identity])
    return permission, report


def _needed_by_others(store: Store, rows: pa.Table) -> set[str]:
    """Return the keys of encoded portraits and pictures of these jobs that other jobs have, too."""
    everything = snapshot(store)
    jobs = set(zip(*(rows.column(name).to_pylist() for name in _JOB), strict=True))
    conditions = [pc.field(name).isin(pc.unique(rows.column(name).drop_null())) for name in _SHARED]
    wanted = conditions[0] | conditions[1]
    runs = pc.unique(everything.read(wanted, ["run_id"]).column("run_id"))
    others = latest_rows(everything.read(pc.field("run_id").isin(runs))).filter(wanted)
    return {
        row[name]
        for row in others.select([*_JOB, *_SHARED]).to_pylist()
        for name in _SHARED
        if row[name] and (row["run_id"], row["job_id"]) not in jobs
    }


def _rows_with(store: Store, reference: str) -> pa.Table:
    """Return the rows of the jobs that name a permission, and of those that share a video with one."""
    everything = snapshot(store)
    written = pc.unique(everything.read(columns=["consent"]).column("consent")).to_pylist()
    spellings = [text for text in written if text and label_key(text) == label_key(reference)]
    named = pc.field("consent").isin(pa.array(spellings, pa.string()))
    keys = pc.unique(everything.read(named, ["render_key"]).column("render_key").drop_null())
    wanted = named | pc.field("render_key").isin(keys)
    # A forgotten job has an older row that is not.
    runs = pc.unique(everything.read(wanted, ["run_id"]).column("run_id"))
    return latest_rows(everything.read(pc.field("run_id").isin(runs))).filter(wanted)
