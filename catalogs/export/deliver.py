"""Export of videos under readable names, for people without access to the store."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalogs.export.filenames import NameTemplate
from catalogs.query.jobs import to_csv, to_parquet
from catalogs.requests.inputs import localise
from catalogs.store import uris
from catalogs.store.store import Store
from troupe.errors import SettingsError, TroupeError
from troupe.files import file_sha256
from troupe.labels import label_key
from troupe.scratch import scratch_folder

__all__ = ["DeliveryReport", "deliver"]

_THREADS = 8
_DEFAULT_NAME = "{identity}/{job_id}.mp4"


@dataclass(frozen=True)
class DeliveryReport:
    """Result of a delivery.

    Attributes:
        copied: number of files copied.
        unchanged: number of files that already existed.
        missing: one line per job whose video could not be read.
        manifest: URI of the manifest beside the files.
    """

    copied: int
    unchanged: int
    missing: tuple[str, ...]
    manifest: str


def deliver(
    store: Store, rows: pa.Table, target: Store, name: str = _DEFAULT_NAME, *, crop: bool = False
) -> DeliveryReport:
    """Copy the videos of these rows, with `manifest.parquet` and `manifest.csv` beside them.

    Idempotent: existing files are kept and never overwritten. The first column of the manifests is `file`, relative to
    their folder.

    Args:
        store: store of the catalog that the rows are from.
        rows: rows with all columns; those without a video are skipped.
        target: destination of the files.
        name: template, see `NameTemplate`; equal names are numbered.
        crop: whether to copy the animated square instead of the full picture, where a job has both.

    Raises:
        SettingsError: the template is invalid, or another file has one of the names.
        StoreError: the target cannot be written.
    """
    template = NameTemplate(name, rows.column_names)
    jobs = [row for row in rows.to_pylist() if row["full_uri"] or row["crop_uri"]]
    jobs.sort(key=lambda row: (row["run_id"], row["job_id"]))  # so that numbering is stable
    # One folder for all spellings of an identity: the first one's.
    labels: dict[str, str] = {}
    spelled = [row | {"identity": labels.setdefault(label_key(row["identity"] or ""), row["identity"])} for row in jobs]
    named = list(zip(_numbered(template.name(row, ".mp4") for row in spelled), jobs, strict=True))

    def copy(entry: tuple[str, dict[str, Any]]) -> bool | TroupeError:
        file, row = entry
        with scratch_folder() as folder:
            try:
                video = _video(store, row, crop, folder)
            except TroupeError as error:
                return error
            put = target.put(video, file)
            if not put.created and (put.sha256, put.bytes) != _identity(video):
                raise SettingsError(f"{target.uri(file)} is another file; choose another folder or other names")
            return put.created

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="deliver") as threads:
        outcomes = list(threads.map(copy, named))
    copied = [(file, row) for (file, row), outcome in zip(named, outcomes, strict=True) if isinstance(outcome, bool)]
    # Rows that an earlier version wrote may have URIs with credentials.
    shown = [{k: uris.redacted_text(v) if isinstance(v, str) else v for k, v in row.items()} for _, row in copied]
    listed = pa.Table.from_pylist(shown, rows.schema)
    listed = listed.add_column(0, "file", pa.array([file for file, _ in copied], pa.string()))
    target.replace(to_csv(listed).encode(), "manifest.csv")
    target.replace(to_parquet(listed), "manifest.parquet")
    problems = [
        f"{row['job_id']}: {outcome.message}"
        for (_, row), outcome in zip(named, outcomes, strict=True)
        if isinstance(outcome, TroupeError)
    ]
    return DeliveryReport(outcomes.count(True), outcomes.count(False), tuple(problems), target.uri("manifest.parquet"))


def _video(store: Store, row: dict[str, Any], crop: bool, folder: Path) -> Path:
    """Fetch the row's video from the store's current location, which may differ from the recorded one."""
    uri = (row["crop_uri"] if crop else None) or row["full_uri"] or row["crop_uri"]
    if row["render_key"]:
        uri = store.uri(f"renders/{row['render_key']}/{uris.name(uri)}")
    return localise(uri, folder)


def _identity(file: Path) -> tuple[str, int]:
    return file_sha256(file), file.stat().st_size


def _numbered(names: Iterator[str]) -> Iterator[str]:
    """Yield the names, numbering repeated ones; compared without case, for case-insensitive file systems."""
    taken = {"manifest.csv", "manifest.parquet"}
    for name in names:
        stem, _, suffix = name.rpartition(".")
        candidate, number = name, 1
        while candidate.casefold() in taken:
            number += 1
            candidate = f"{stem}-{number}.{suffix}"
        taken.add(candidate.casefold())
        yield candidate
