"""Videos under readable names, for people who get no access to the store."""

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
from troupe.scratch import scratch_folder

__all__ = ["Delivered", "deliver"]

_THREADS = 8
_NAMES = "{identity}/{job_id}.mp4"


@dataclass(frozen=True)
class Delivered:
    """What became of a delivery.

    Attributes:
        put: files copied.
        same: files that were there already.
        missing: problems, one line for each job whose video could not be had.
        manifest: URI of the list that lies beside the files.
    """

    put: int
    same: int
    missing: tuple[str, ...]
    manifest: str


def deliver(store: Store, rows: pa.Table, target: Store, name: str = _NAMES, *, crop: bool = False) -> Delivered:
    """Copy the videos of these rows, with `manifest.parquet` and `manifest.csv` beside them.

    May be repeated: what is there already is left as it is, and files never replace others. The lists begin with the
    column `file`, relative to their own folder.

    Args:
        store: whose catalog the rows are from.
        rows: whole rows of it; those without a video are left out.
        target: where the files go.
        name: see `NameTemplate`; jobs that would have the same name are numbered.
        crop: the animated square rather than the whole picture, where a job has both.

    Raises:
        SettingsError: the template is wrong, or other files have the names.
        StoreError: the target cannot be written.
    """
    template = NameTemplate(name, rows.column_names)
    jobs = [row for row in rows.to_pylist() if row["full_uri"] or row["crop_uri"]]
    jobs.sort(key=lambda row: (row["run_id"], row["job_id"]))  # so that the numbering is the same next time
    named = list(zip(_distinct(template.name(row, ".mp4") for row in jobs), jobs, strict=True))

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
    there = [(file, row) for (file, row), outcome in zip(named, outcomes, strict=True) if isinstance(outcome, bool)]
    listed = pa.Table.from_pylist([row for _, row in there], rows.schema)
    listed = listed.add_column(0, "file", pa.array([file for file, _ in there], pa.string()))
    target.replace(to_csv(listed).encode(), "manifest.csv")
    target.replace(to_parquet(listed), "manifest.parquet")
    problems = [
        f"{row['job_id']}: {outcome.message}"
        for (_, row), outcome in zip(named, outcomes, strict=True)
        if isinstance(outcome, TroupeError)
    ]
    return Delivered(outcomes.count(True), outcomes.count(False), tuple(problems), target.uri("manifest.parquet"))


def _video(store: Store, row: dict[str, Any], crop: bool, folder: Path) -> Path:
    """A local copy of the row's video: from where the store is now, which may have moved since."""
    uri = (row["crop_uri"] if crop else None) or row["full_uri"] or row["crop_uri"]
    if row["render_key"]:
        uri = store.uri(f"renders/{row['render_key']}/{uris.name(uri)}")
    return localise(uri, folder)


def _identity(file: Path) -> tuple[str, int]:
    return file_sha256(file), file.stat().st_size


def _distinct(names: Iterator[str]) -> Iterator[str]:
    """The names; of equal ones (to who does not tell `A` from `a`) the later numbered."""
    taken = {"manifest.csv", "manifest.parquet"}
    for name in names:
        stem, _, suffix = name.rpartition(".")
        candidate, number = name, 1
        while candidate.casefold() in taken:
            number += 1
            candidate = f"{stem}-{number}.{suffix}"
        taken.add(candidate.casefold())
        yield candidate
