"""Where a file comes from, as far as the store knows, and whether the person shown permits it today."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from catalogs.query.jobs import list_jobs
from catalogs.retention.forget import ForgetList
from catalogs.store.renders import find_record
from catalogs.store.store import Store
from troupe.errors import DamagedFile

__all__ = ["Match", "Origin", "Permission", "find_origin"]

Match: TypeAlias = Literal["checksum", "watermark", "claims", "none"]
"""How a file was found: by its content; by the mark in its frames; only by the run and job that it names, of which the
content differs; or not at all."""
Permission: TypeAlias = Literal["referenced", "missing", "withdrawn", "unknown"]
"""`referenced`: the job names a permission; `missing`: it names none; `withdrawn`: the person withdrew it; `unknown`:
the store does not know the job, nor the portrait."""


@dataclass(frozen=True)
class Origin:
    """What the store knows of a file.

    Attributes:
        match: how the file was found.
        permission: to show the person, as of now.
        row: row of the job, empty if the store has none.
    """

    match: Match
    permission: Permission
    row: Mapping[str, Any]


def find_origin(
    store: Store,
    sha256: str,
    *,
    run_id: str = "",
    job_id: str = "",
    picture_key: str = "",
    portrait_sha256: str = "",
) -> Origin:
    """Find the job that a file is from.

    Args:
        sha256: hash of the file.
        run_id, job_id: run and job that the file names.
        picture_key: key of the picture that a watermark names.
        portrait_sha256: hash of the portrait that the file names.

    Raises:
        StoreError: the store cannot be read.
    """
    match, row = _find(store, sha256, run_id, job_id, picture_key)
    return Origin(match, _permission(store, row, portrait_sha256), row)


def _find(store: Store, sha256: str, run_id: str, job_id: str, picture_key: str) -> tuple[Match, Mapping[str, Any]]:
    rows = list_jobs(store, checksum=sha256).to_pylist()
    if rows:
        # The job that the file names, or the first one that had it: later ones reused it.
        named = [row for row in rows if (row["run_id"], row["job_id"]) == (run_id, job_id)]
        return "checksum", (named or rows[-1:])[0]
    named = list_jobs(store, run=run_id, job=job_id).to_pylist() if run_id and job_id else []
    if named and sha256 in _published(store, named[0]):
        return "checksum", named[0]
    if picture_key and (marked := list_jobs(store, picture=picture_key).to_pylist()):
        return "watermark", marked[-1]
    return ("claims", named[0]) if named else ("none", {})


def _published(store: Store, row: Mapping[str, Any]) -> set[str]:
    """Return the hashes of all files of a job's film: the row has that of the main video only."""
    try:
        record = find_record(store, f"renders/{row['render_key']}") if row["render_key"] else None
    except DamagedFile:
        return set()
    return {str(entry["sha256"]) for entry in (record or {}).get("files", {}).values()}


def _permission(store: Store, row: Mapping[str, Any], portrait_sha256: str) -> Permission:
    """Return the state of the permission; the one place that knows where permissions are kept."""
    portraits = {portrait_sha256, row.get("portrait_sha256") or ""} - {""}
    forgotten = ForgetList(store)
    if row.get("status") == "forgotten" or any(
        forgotten.refusal(row.get("identity") or "", portrait) for portrait in portraits or {""}
    ):
        return "withdrawn"
    if not row:
        return "unknown"
    return "referenced" if row["consent"] else "missing"
