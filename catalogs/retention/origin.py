"""Where a file comes from, as far as the store knows, and whether the person shown permits it today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from catalogs.consent.register import find_permission
from catalogs.query.jobs import list_jobs
from catalogs.retention.forget import ForgetList
from catalogs.store.renders import find_record
from catalogs.store.store import Store
from troupe.errors import DamagedFile
from troupe.labels import label_key

__all__ = ["FilmOrigin", "Match", "NamedFilm", "Origin", "PermissionState", "find_origin"]

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


_WORST_FIRST: tuple[PermissionState, ...] = (
    *("withdrawn", "expired", "not yet valid", "unregistered", "missing", "unknown"),
    "valid",
)


@dataclass(frozen=True)
class NamedFilm:
    """A film as a file names it; empty where it does not.

    Attributes:
        run_id, job_id: its run and job.
        portrait_sha256: hash of its portrait.
        consent: reference to the permission.
        checksum: hash of its video.
    """

    run_id: str = ""
    job_id: str = ""
    portrait_sha256: str = ""
    consent: str = ""
    checksum: str = ""


@dataclass(frozen=True)
class FilmOrigin:
    """What the store knows of a film.

    Attributes:
        permission: to show the person, as of now.
        row: row of the job, empty if the store has none.
    """

    permission: PermissionState
    row: Mapping[str, Any]


@dataclass(frozen=True)
class Origin:
    """What the store knows of a file.

    Attributes:
        match: how the file was found.
        row: row of the job, empty if the store has none; of a package, of the first film that the store has.
        films: the films in the file, in the order in which it names them. A watermark names a picture, so that these
            are all films of that picture, unless the file says which of them it is.
        permission: the worst one of the films'.
    """

    match: Match
    row: Mapping[str, Any]
    films: tuple[FilmOrigin, ...]
    permission: PermissionState


def find_origin(store: Store, sha256: str, named: Sequence[NamedFilm], picture_key: str = "") -> Origin:
    """Find the jobs that a file is from.

    Args:
        sha256: hash of the file.
        named: films that the file names: several if it is a package.
        picture_key: key of the picture that a watermark names, or its start.

    Raises:
        StoreError: the store cannot be read.
    """
    match, row, found = _find(store, sha256, named, picture_key)
    forgotten = ForgetList(store)
    films = tuple(FilmOrigin(_permission_state(store, forgotten, row, film), row) for film, row in found)
    states = {film.permission for film in films}
    return Origin(match, row, films, next((state for state in _WORST_FIRST if state in states), "unknown"))


_Found: TypeAlias = list[tuple[NamedFilm, Mapping[str, Any]]]


def _find(
    store: Store, sha256: str, named: Sequence[NamedFilm], picture_key: str
) -> tuple[Match, Mapping[str, Any], _Found]:
    """Return how a file was found, the row of its job, and the films in it with their rows."""
    names = {(film.run_id, film.job_id) for film in named}
    if rows := list_jobs(store, checksum=sha256).to_pylist():
        # The job that the file names, or the first one that had it: later ones reused it.
        row = next((row for row in rows if (row["run_id"], row["job_id"]) in names), rows[-1])
        return "checksum", row, [(named[0] if named else NamedFilm(), row)]
    found: _Found = [(film, _row_of(store, film)) for film in named]
    if len(found) == 1 and found[0][1] and sha256 in _published(store, found[0][1]):
        return "checksum", found[0][1], found
    known = [(film, row) for film, row in found if row]
    if known and len({film.run_id for film in named}) > 1 and not any(film.checksum for film in named):
        found = known  # a comment does not say which of several jobs is of which run
    marked = list_jobs(store, picture=picture_key).to_pylist() if picture_key else []
    if not marked:
        return ("claims", known[0][1], found) if known else ("none", {}, found)
    # A film that was withdrawn no longer has the key of its picture: what the file names counts, too.
    same = [row for row in marked if (row["run_id"], row["job_id"]) in names]
    others = [(NamedFilm(), row) for row in reversed(marked)] if not same else []
    return "watermark", (same or marked[-1:])[0], [*known, *others]


def _row_of(store: Store, film: NamedFilm) -> Mapping[str, Any]:
    """Return the row of a film; empty if the store has none."""
    if film.run_id and film.job_id:
        rows = list_jobs(store, run=film.run_id, job=film.job_id).to_pylist()
    else:
        rows = list_jobs(store, checksum=film.checksum).to_pylist() if film.checksum else []
    return rows[-1] if rows else {}


def _published(store: Store, row: Mapping[str, Any]) -> set[str]:
    """Return the hashes of all files of a job's film: the row has that of the main video only."""
    try:
        record = find_record(store, f"renders/{row['render_key']}") if row["render_key"] else None
    except DamagedFile:
        return set()
    return {str(entry["sha256"]) for entry in (record or {}).get("files", {}).values()}


def _permission_state(store: Store, forgotten: ForgetList, row: Mapping[str, Any], film: NamedFilm) -> PermissionState:
    identity, portrait = row.get("identity") or "", row.get("portrait_sha256") or ""
    if row.get("status") == "forgotten" or any(
        forgotten.refusal(identity, content) for content in {portrait, film.portrait_sha256}
    ):
        return "withdrawn"
    reference = row.get("consent") or film.consent
    permission = find_permission(store, reference) if label_key(reference) else None
    if permission is not None:
        return _STATES[permission.state()]
    if not row:
        return "unknown"
    return "unregistered" if reference else "missing"
