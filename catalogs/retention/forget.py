"""Forget people who withdrew their consent: delete their renders, and refuse new ones."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalogs.consent.register import drop_faces, list_permissions
from catalogs.query.jobs import list_jobs
from catalogs.review.decisions import Decisions
from catalogs.store.renders import PICTURES
from catalogs.store.sealed import seal, unseal
from catalogs.store.store import Store
from catalogs.table.audit import append_audit
from catalogs.table.exports import read_exports
from catalogs.table.manifest import write_manifest
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.snapshot import latest_rows, snapshot
from troupe.errors import SettingsError, StoreError, Withdrawn
from troupe.labels import label_key, near_labels

__all__ = ["ForgetList", "ForgetReport", "delete_renders", "exported_copies", "files_of", "forget", "is_forgotten"]

_FOLDER = "tombstones"
_CLEARED_COLUMNS = (
    *("full_uri", "crop_uri", "master_uri", "poster_uri", "subtitles_vtt_uri", "subtitles_srt_uri"),
    "master_c2pa_uri",
    *("checksum", "bytes", "face", "portrait"),
    *("appearance_key", "picture_key", "render_key", "error", "error_kind"),
)
"""Columns that are cleared in the rows of forgotten jobs. The portrait's hash stays, to recognise the person."""


@dataclass(frozen=True)
class ForgetReport:
    """What forgetting a person changed, or would change in a dry run.

    Attributes:
        jobs: number of jobs in the catalog that showed the person.
        files: number of deleted files.
        runs: run_ids of the rewritten manifests.
        exported: URIs of exported copies, which are not deleted; one that ends in `/` is a folder.
    """

    jobs: int
    files: int
    runs: tuple[str, ...]
    exported: tuple[str, ...] = ()


class ForgetList:
    """The people of a store who must not be shown, as hashes of labels and portraits, without names or pictures."""

    def __init__(self, store: Store) -> None:
        """Read the list.

        Raises:
            StoreError: the store cannot be read, or an entry is damaged.
        """
        self._labels: set[str] = set()
        self._portraits: set[str] = set()
        for key in store.list(_FOLDER):
            try:
                entry = unseal(store.read(key))
                self._labels.add(entry["identity_sha256"])
                self._portraits.update(entry["portrait_sha256"])
            except (ValueError, KeyError, TypeError) as error:
                # No run is better than one that shows a person who withdrew their consent.
                again = f"run {store.command('forget')} for that person again"
                raise StoreError(f"{store.uri(key)} is damaged; {again}") from error

    def refusal(self, identity: str, portrait_sha256: str) -> Withdrawn | None:
        """Return the error of a job that shows a forgotten person; None if the job may run.

        Args:
            identity: label of the job.
            portrait_sha256: hash of its portrait.
        """
        if portrait_sha256 in self._portraits:
            return Withdrawn("the person in this portrait withdrew their consent; remove the job from the request")
        if identity and not self._labels.isdisjoint(_hashes(identity)):
            return Withdrawn(f"{identity} withdrew their consent to be shown; remove the job from the request")
        return None


def is_forgotten(store: Store, identity: str) -> bool:
    """Return whether an identity is on the forget list by its label; for jobs that were planned before.

    Raises:
        StoreError: the store cannot be read.
    """
    return bool(label_key(identity)) and store.exists(_keys(identity, ())[0])


def forget(
    store: Store,
    identity: str = "",
    portraits: Sequence[str] = (),
    *,
    absent_ok: bool = False,
    dry_run: bool = False,
) -> ForgetReport:
    """Delete the renders and the encoded portraits of a person, and add the person to the forget list.

    The person is recognised by the identity, in every spelling, and by the content of every portrait that ever had it,
    under any identity. The catalog keeps a row for each job, with status `forgotten` and without URIs; `vacuum` deletes
    older versions of the table. Can be repeated, and should be after a run that was in progress meanwhile.

    Args:
        identity: label, as in the jobs files; empty if there is none.
        portraits: SHA-256 of portraits of the person.
        absent_ok: whether a person whom no job shows is only added to the forget list.
        dry_run: whether to count only.

    Raises:
        SettingsError: neither is given, or no job shows the person.
        StoreError: something could not be deleted; run again.
    """
    if not label_key(identity) and not portraits:
        raise SettingsError("name an identity, as the jobs files have it, or a portrait")
    earlier = _earlier_portraits(store, identity, portraits)
    labelled = list_jobs(store, identity=identity) if identity else None
    seen: list[Any] = labelled.column("portrait_sha256").to_pylist() if labelled is not None else []
    pictures = sorted({content for content in (*seen, *(earlier or ()), *portraits) if content})
    pictured = list_jobs(store, portraits=pictures) if pictures else None
    rows = latest_rows(pa.concat_tables([table for table in (labelled, pictured) if table is not None]))
    if not len(rows) and earlier is None and not absent_ok:
        raise SettingsError(_absent(store, identity))
    files = files_of(store, rows)
    jobs = rows.filter(pc.field("status") != "forgotten")
    runs = tuple(sorted({str(run) for run in jobs.column("run_id").to_pylist()}))
    report = ForgetReport(len(jobs), len(files), runs, exported_copies(store, rows))
    if dry_run:
        return report
    # The forget list comes first, so that nothing deleted is rendered again.
    entry = {
        "identity_sha256": _hashes(identity)[0] if identity else "",
        "portrait_sha256": pictures,
        "forgotten_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    store.replace(seal(entry), _keys(identity, portraits)[0])
    drop_faces(store, _references(store, rows, identity))
    delete_renders(store, jobs, files)
    facts = {"jobs": report.jobs, "files": report.files, "runs": report.runs, "exported": len(report.exported)}
    append_audit(store, "forget", facts, [identity])
    return report


def _references(store: Store, rows: pa.Table, identity: str) -> set[str]:
    """Return the references of the permissions of a person: those of the label, and those that their jobs name."""
    named = {text for text in rows.column("consent").to_pylist() if text}
    return named | ({one.reference for one in list_permissions(store, identity)} if identity else set())


def delete_renders(
    store: Store, jobs: pa.Table, files: Sequence[str], withdrawn: str = "", kept: Set[str] = frozenset()
) -> None:
    """Delete the files of jobs and what was decided and said about them, and give the jobs rows that say so.

    Args:
        jobs: their rows, with all columns.
        files: keys of their files, as `files_of` returns them.
        withdrawn: why, for the rows; empty if the person is on the forget list.
        kept: keys of pictures that other jobs have, too, with what was decided about them.

    Raises:
        StoreError: something could not be deleted; run again.
    """
    for key in files:
        store.delete(key)
    # Before the rows, which then no longer have the keys.
    keys = {key for name in ("render_key", "picture_key") for key in jobs.column(name).to_pylist() if key}
    Decisions(store).delete(keys - kept)
    for run in sorted({str(run) for run in jobs.column("run_id").to_pylist()}):
        with RowBuffer(store, run) as buffer:
            for row in jobs.filter(pc.field("run_id") == run).to_pylist():
                cleared = {**row, "status": "forgotten", **dict.fromkeys(_CLEARED_COLUMNS)}
                why = {"error_kind": Withdrawn.kind, "error": withdrawn} if withdrawn else {}
                buffer.append(cleared | why)
        write_manifest(store, run)


def exported_copies(store: Store, rows: pa.Table) -> tuple[str, ...]:
    """Return the URIs of the exported copies of these jobs' videos, posters and subtitles.

    That of an HLS package is its folder, and ends in `/`: the file that is opened to play it has no picture or sound.
    """
    exports = read_exports(store).to_pylist()
    ids = [rows.column(name).to_pylist() for name in ("run_id", "job_id")] if exports else [[], []]
    jobs = set(zip(*ids, strict=True))
    found = [entry for entry in exports if (entry["run_id"], entry["job_id"]) in jobs]
    columns = [column for column in exports[0] if column == "file" or column.endswith("_file")] if exports else []
    files = {
        (entry["target"], f"{entry[column].rpartition('/')[0]}/" if entry["package"] == "hls" else entry[column])
        for entry in found
        for column in columns
        if entry[column]
    }
    return tuple(sorted(f"{target}/{file}" for target, file in files))


def files_of(store: Store, rows: pa.Table, kept: Set[str] = frozenset()) -> list[str]:
    """Return the keys of the rows' films, pictures and encoded portraits, the records first.

    Args:
        kept: keys of pictures and encoded portraits that are left out.
    """

    def values(column: str) -> Iterable[str]:
        return sorted({value for value in rows.column(column).to_pylist() if value} - kept)

    folders = [f"renders/{key}" for key in values("render_key")] + [
        f"{PICTURES}/{key}" for key in values("picture_key")
    ]
    renders = [key for folder in folders for key in store.list(folder)]
    appearances = set(values("appearance_key"))
    # Listed, because a thumbnail of the portrait is stored beside its encoding.
    caches = [key for key in store.list("cache/appearance") if key.split("/")[-1].split(".")[0] in appearances]
    return sorted(renders, key=lambda key: not key.endswith("render.json")) + caches


def _absent(store: Store, identity: str) -> str:
    """Return the message for a person whom no job shows."""
    advice = "--absent-ok refuses the person from now on nevertheless"
    if not identity:
        return f"no job in {store.url} has that portrait; give the very file that was animated, or --alike; {advice}"
    labels = pc.unique(snapshot(store).read(columns=["identity"]).column("identity")).to_pylist()
    near = near_labels(identity, [label for label in labels if label])
    jobs = f"{store.command('catalog ls')} lists the jobs"
    suggestion = f"did you mean {' or '.join(map(repr, near))}?" if near else jobs
    return f"no job in {store.url} has the identity {identity!r}; {suggestion} ({advice})"


def _earlier_portraits(store: Store, identity: str, portraits: Sequence[str]) -> list[str] | None:
    """Return the portraits in an earlier entry of the same person; None without an entry."""
    for key in _keys(identity, portraits):
        try:
            if store.exists(key):
                return list(json.loads(store.read(key)).get("portrait_sha256", []))
        except ValueError:
            return []
    return None


def _keys(identity: str, portraits: Sequence[str]) -> list[str]:
    """Return the key of the person's entry, and the one that earlier versions gave it."""
    return [f"{_FOLDER}/{name[:32]}.json" for name in (_hashes(identity) if identity else portraits[:1])]


def _hashes(identity: str) -> tuple[str, str]:
    """Return the hash by which an identity is on the forget list, and the one of earlier versions."""
    earlier = unicodedata.normalize("NFKC", identity).strip().casefold()
    current, older = (hashlib.sha256(text.encode()).hexdigest() for text in (label_key(identity), earlier))
    return current, older
