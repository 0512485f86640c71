"""Where a file comes from, as far as the store knows, and whether the person shown permits it today."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from catalogs.consent.register import find_permission
from catalogs.query.jobs import list_jobs
from catalogs.retention.forget import ForgetList
from catalogs.store.renders import find_record
from catalogs.store.store import Store
from troupe.errors import DamagedFile
from troupe.labels import label_key

__all__ = ["Match", "Origin", "PermissionState", "find_origin"]

Match: TypeAlias = Literal["checksum", "watermark", "claims", "none"]
"""How a file was found: by its content; by the mark in its frames; only by the run and job that it names, of which the
content differs; or not at all."""
PermissionState: TypeAlias = Literal[
    "valid", "not yet valid", "expired", "withdrawn", "unregistered", "missing", "unknown"
]
"""State of a permission today: as the register has it; `unregistered`: the job names one that the register does not
have; `missing`: the job names none; `withdrawn`: it was revoked, or the person is on the forget list; `unknown`: the
store does not know the job."""

_STATES: dict[str, PermissionState] = {
    "valid": "valid",
    "not yet valid": "not yet valid",
    "expired": "expired",
    "revoked": "withdrawn",
}


@dataclass(frozen=True)
class Origin:
    """What the store knows of a file.

    Attributes:
        match: how the file was found.
        permission: to show the person, as of now.
        row: row of the job, empty if the store has none.
    """

    match: Match
    permission: PermissionState
    row: Mapping[str, Any]


def find_origin(
    store: Store,
    sha256: str,
    *,
    run_id: str = "",
    job_id: str = "",
    picture_key: str = "",
    portrait_sha256: str = "",
    consent: str = "",
) -> Origin:
    """Find the job that a file is from.

    Args:
        sha256: hash of the file.
        run_id, job_id: run and job that the file names.
        picture_key: key of the picture that a watermark names, or its start.
        portrait_sha256, consent: hash of the portrait and reference to the permission that the file names.

    Raises:
        StoreError: the store cannot be read.
    """
    match, row = _find(store, sha256, run_id, job_id, picture_key)
    return Origin(match, _permission_state(store, row, portrait_sha256, consent), row)


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


def _permission_state(store: Store, row: Mapping[str, Any], portrait_sha256: str, consent: str) -> PermissionState:
    identity, portrait = row.get("identity") or "", row.get("portrait_sha256") or ""
    forgotten = ForgetList(store)
    if row.get("status") == "forgotten" or any(
        forgotten.refusal(identity, content) for content in {portrait, portrait_sha256}
    ):
        return "withdrawn"
    reference = row.get("consent") or consent
    permission = find_permission(store, reference) if label_key(reference) else None
    if permission is not None:
        return _STATES[permission.state()]
    if not row:
        return "unknown"
    return "unregistered" if reference else "missing"
