"""Export of single videos under readable names, for people without access to the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from catalogs.export.fetch import chosen_uri, fetch_file, stored_size
from catalogs.export.filenames import NameTemplate, numbered
from catalogs.export.films import film_content, films_of, with_one_spelling
from catalogs.export.manifest import MANIFEST_FILES, manifest_row, read_manifest, record_rows, write_manifest
from catalogs.export.target import other_files, refuse_stores
from catalogs.export.written import Written, each_recorded, in_threads
from catalogs.store.store import Store
from catalogs.store.uris import name as name_of
from troupe.errors import TroupeError
from troupe.process.scratch import scratch_folder

__all__ = ["DeliveryReport", "deliver"]

_DEFAULT_NAME = "{identity}/{job_id}.mp4"
_SIDECARS = ("poster_file", "subtitles_vtt_file", "subtitles_srt_file", "master_file", "master_c2pa_file")
"""Columns of the manifest for files beside a video."""


@dataclass(frozen=True)
class DeliveryReport:
    """Result of a delivery.

    Attributes:
        copied: number of videos copied.
        unchanged: number of videos that were there already.
        missing: one line per job whose video could not be read.
        manifest: URI of the manifest beside the files.
    """

    copied: int
    unchanged: int
    missing: tuple[str, ...]
    manifest: str


def deliver(
    store: Store,
    rows: pa.Table,
    target: Store,
    name: str = _DEFAULT_NAME,
    *,
    crop: bool = False,
    posters: bool = False,
    masters: bool = False,
    excel: bool = False,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> DeliveryReport:
    """Copy the videos of these rows, with `manifest.parquet` and `manifest.csv` beside them; the store records it.

    Idempotent: existing files are kept and never overwritten. What was copied is recorded also where the export fails
    or is stopped. Subtitles are copied beside their video, with its name.
    The first column of the manifests is `file`, relative to their folder; they keep the rows of earlier exports into
    it. Rows with the same video and name, such as those of a nightly run, are one file and one row, the latest.

    Args:
        store: store of the catalog that the rows are from.
        rows: rows with all columns; those without a video are skipped.
        target: destination of the files.
        name: template, see `NameTemplate`; equal names are numbered.
        crop: whether to copy the animated square instead of the full picture, where a job has both.
        posters: whether to copy posters, too, as JPEG beside the videos.
        masters: whether to copy masters, too, with the sidecar of one that cannot contain its Content Credentials.
        excel: whether Excel shall show the text in `manifest.csv` right; see `to_csv`.
        on_progress: called with the number of videos that are done, and of all.

    Raises:
        SettingsError: the template is invalid, a job lacks a tag that it names, another file has one of the names, or
            the manifest that is there cannot be read.
        StoreError: the target cannot be written.
        Cancelled: the export was stopped.
    """
    template = NameTemplate(name, rows.column_names)
    refuse_stores(store, target)
    jobs = films_of(rows)
    template.check_tags(jobs)
    videos = {
        (template.name(row, ".mp4"), film_content(row)): original
        for row, original in zip(with_one_spelling(jobs), jobs, strict=True)
    }
    earlier = read_manifest(target)
    names = numbered(videos, {**MANIFEST_FILES, **dict(earlier.keys())}, ".mp4")
    named = list(zip(names, videos.values(), strict=True))

    def sidecars(file: str, row: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
        """Return URI and name of each file beside a video, by column of the manifest."""
        left_out = ("poster",) * (not posters) + ("master",) * (not masters)
        columns = [column for column in _SIDECARS if not column.startswith(left_out)]
        found = {column: row.get(column.replace("_file", "_uri")) for column in columns}
        stem = file[: -len(".mp4")]
        return {column: (uri, f"{stem}{PurePosixPath(name_of(uri)).suffix}") for column, uri in found.items() if uri}

    def others(entry: tuple[str, dict[str, Any]]) -> list[str]:
        """Return the files that no export listed under the names of a video and of those beside it, of another size."""
        file, row = entry
        if (file, film_content(row)) in earlier:
            return []
        files = [(chosen_uri(row, crop=crop), file), *sidecars(file, row).values()]
        there = {name: (uri, size) for uri, name in files if (size := target.size(name)) is not None}
        return [name for name, (uri, size) in there.items() if stored_size(store, row, uri) not in (None, size)]

    # Before anything is written. Files of equal size are compared when they are copied.
    if found := [name for names in in_threads(others, named) for name in names]:
        raise other_files(target, found)
    written = Written()

    def copy(entry: tuple[str, dict[str, Any]]) -> bool | TroupeError:
        file, row = entry
        beside = sidecars(file, row)
        with scratch_folder() as folder:
            try:
                files = {file: fetch_file(store, row, chosen_uri(row, crop=crop), folder)}
                files |= {name: fetch_file(store, row, uri, folder) for uri, name in beside.values()}
            except TroupeError as error:
                return error
            names = {column: name for column, (_, name) in beside.items()}
            return written.put({(file, film_content(row)): manifest_row(row, file, **names)}, target, files)[file]

    outcomes: list[bool | TroupeError] = []

    def done(outcome: bool | TroupeError) -> None:
        outcomes.append(outcome)
        on_progress(len(outcomes), len(named))

    def record() -> str:
        record_rows(store, target, earlier, {**written.begun, **written.whole})
        if not written.whole and len(outcomes) < len(named):
            return ""
        return write_manifest(target, earlier, written.whole, rows.schema, excel=excel)

    on_progress(0, len(named))
    manifest = each_recorded(copy, named, done, record)
    problems = [
        f"{row['job_id']}: {outcome.message}"
        for (_, row), outcome in zip(named, outcomes, strict=True)
        if isinstance(outcome, TroupeError)
    ]
    return DeliveryReport(outcomes.count(True), outcomes.count(False), tuple(problems), manifest)
