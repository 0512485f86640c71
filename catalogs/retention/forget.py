"""People who do not want to be shown any more: what was made of them is deleted, and nothing new is made."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalogs.query.jobs import list_jobs
from catalogs.store.store import Store
from catalogs.table.manifest import write_manifest
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.snapshot import latest_rows
from troupe.errors import SettingsError, StoreError, Withdrawn

__all__ = ["ForgetList", "Forgotten", "forget"]

_FOLDER = "tombstones"
_GONE = (
    *("full_uri", "crop_uri", "poster_uri", "checksum", "bytes", "face", "portrait"),
    *("appearance_key", "render_key", "error", "error_kind"),
)
"""Columns of a forgotten job that tell nothing any more. The portrait's hash stays: by it the person is known."""


@dataclass(frozen=True)
class Forgotten:
    """What forgetting somebody meant.

    Attributes:
        jobs: of the catalog that showed the person.
        files: that were deleted, or would be.
        runs: whose manifests were written anew, or would be.
    """

    jobs: int
    files: int
    runs: tuple[str, ...]


class ForgetList:
    """Who must not be shown, as a store remembers it: hashes only, no names and no pictures."""

    def __init__(self, store: Store) -> None:
        """Raises StoreError where the store cannot be read."""
        self._labels: set[str] = set()
        self._portraits: set[str] = set()
        for key in store.list(_FOLDER):
            try:
                entry = json.loads(store.read(key))
                self._labels.add(entry["identity_sha256"])
                self._portraits.update(entry["portrait_sha256"])
            except (ValueError, KeyError, TypeError) as error:
                # Better no run than one that shows somebody who did not want it.
                raise StoreError(f"{store.uri(key)} is damaged; run `troupe forget` for that person again") from error

    def refusal(self, identity: str, portrait_sha256: str) -> Withdrawn | None:
        """Why a job must not be carried out; None if it may.

        Args:
            identity: its label.
            portrait_sha256: hash of its picture.
        """
        if portrait_sha256 in self._portraits:
            return Withdrawn("the person in this portrait withdrew the consent; take the job out of the request")
        if identity and _hash(identity) in self._labels:
            return Withdrawn(f"{identity} withdrew the consent to be shown; take the job out of the request")
        return None


def forget(store: Store, identity: str = "", portrait: str = "", *, dry_run: bool = False) -> Forgotten:
    """Delete the renders and the encoded portraits of a person, and leave a tombstone that later runs respect.

    The person is recognised by the label and by the content of every picture that ever had it, under whatever label.
    The catalog keeps a row for each job, with status `forgotten` and without pictures; what older versions of the
    table say goes with `vacuum`. May be repeated, and should be after a run that was under way meanwhile.

    Args:
        identity: the label, as in the jobs files; empty if there is none.
        portrait: SHA-256 of a picture of the person; empty if there is none.
        dry_run: only count.

    Raises:
        SettingsError: neither is given.
        StoreError: something could not be deleted; run again.
    """
    if not identity.strip() and not portrait:
        raise SettingsError("name an identity, as the jobs files have it, or a portrait")
    known = _known(store, identity, portrait)
    labelled = list_jobs(store, identity=identity) if identity else None
    seen: list[Any] = labelled.column("portrait_sha256").to_pylist() if labelled is not None else []
    portraits = sorted({content for content in (*seen, *known, portrait) if content})
    pictured = list_jobs(store, portraits=portraits) if portraits else None
    rows = latest_rows(pa.concat_tables([table for table in (labelled, pictured) if table is not None]))
    files = _files(store, rows)
    jobs = rows.filter(pc.field("status") != "forgotten")
    runs = tuple(sorted({str(run) for run in jobs.column("run_id").to_pylist()}))
    if dry_run:
        return Forgotten(len(jobs), len(files), runs)
    # First the stone, so that nothing that is deleted is made again.
    entry = {
        "identity_sha256": _hash(identity) if identity else "",
        "portrait_sha256": portraits,
        "forgotten_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    store.replace(json.dumps(entry, indent=2).encode(), _key(identity, portrait))
    for key in files:
        store.delete(key)
    for run in runs:
        with RowBuffer(store, run) as buffer:
            for row in jobs.filter(pc.field("run_id") == run).to_pylist():
                buffer.append({**row, "status": "forgotten", **dict.fromkeys(_GONE)})
        write_manifest(store, run)
    return Forgotten(len(jobs), len(files), runs)


def _files(store: Store, rows: pa.Table) -> list[str]:
    """Keys of what was made of these rows, the records that make renders exist first."""

    def values(column: str) -> Iterable[str]:
        return sorted({value for value in rows.column(column).to_pylist() if value})

    renders = [key for render in values("render_key") for key in store.list(f"renders/{render}")]
    appearances = set(values("appearance_key"))
    # Listed, because a picture of the portrait lies beside its encoding.
    caches = [key for key in store.list("cache/appearance") if key.split("/")[-1].split(".")[0] in appearances]
    return sorted(renders, key=lambda key: not key.endswith("render.json")) + caches


def _known(store: Store, identity: str, portrait: str) -> list[str]:
    """Pictures that an earlier stone of the same person names."""
    key = _key(identity, portrait)
    try:
        entry: dict[str, Any] = json.loads(store.read(key)) if store.exists(key) else {}
        return list(entry.get("portrait_sha256", []))
    except ValueError:
        return []


def _key(identity: str, portrait: str) -> str:
    return f"{_FOLDER}/{(_hash(identity) if identity else portrait)[:32]}.json"


def _hash(identity: str) -> str:
    return hashlib.sha256(unicodedata.normalize("NFKC", identity).strip().casefold().encode()).hexdigest()
