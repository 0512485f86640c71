"""Export of videos under readable names, for people without access to the store."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalogs.export.filenames import NameTemplate
from catalogs.query.jobs import to_csv, to_parquet
from catalogs.requests.inputs import localise
from catalogs.store import uris
from catalogs.store.error_text import reason
from catalogs.store.renders import find_record
from catalogs.store.store import Store, open_store
from catalogs.table.exports import record_export
from troupe.errors import DamagedFile, SettingsError, StoreError, TroupeError
from troupe.files import file_sha256
from troupe.labels import label_key
from troupe.process.scratch import scratch_folder

__all__ = ["DeliveryReport", "deliver"]

_THREADS = 8
_log = logging.getLogger(__name__)

_MANIFEST = "manifest.parquet"
_DEFAULT_NAME = "{identity}/{job_id}.mp4"
_SIDECARS = {"poster_file": ".jpg", "subtitles_vtt_file": ".vtt", "subtitles_srt_file": ".srt"}
"""Columns of the manifest for files beside a video, and their suffixes."""


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
    excel: bool = False,
) -> DeliveryReport:
    """Copy the videos of these rows, with `manifest.parquet` and `manifest.csv` beside them; the store records it.

    Idempotent: existing files are kept and never overwritten. Subtitles are copied beside their video, with its name.
    The first column of the manifests is `file`, relative to their folder; they keep the rows of earlier exports into
    it. Rows with the same video and name, such as those of a nightly run, are one file and one row, the latest.

    Args:
        store: store of the catalog that the rows are from.
        rows: rows with all columns; those without a video are skipped.
        target: destination of the files.
        name: template, see `NameTemplate`; equal names are numbered.
        crop: whether to copy the animated square instead of the full picture, where a job has both.
        posters: whether to copy posters, too, as JPEG beside the videos.
        excel: whether Excel shall show the text in `manifest.csv` right; see `to_csv`.

    Raises:
        SettingsError: the template is invalid, a job lacks a tag that it names, another file has one of the names, or
            the manifest that is there cannot be read.
        StoreError: the target cannot be written.
    """
    template = NameTemplate(name, rows.column_names)
    _refuse_stores(store, target)
    jobs = [row for row in rows.to_pylist() if row["full_uri"] or row["crop_uri"]]
    jobs.sort(key=lambda row: (row["run_id"], row["job_id"]))  # so that numbering is stable
    template.check_tags(jobs)
    # One folder for all spellings of an identity: the first one's.
    labels: dict[str, str] = {}
    spelled = [row | {"identity": labels.setdefault(label_key(row["identity"] or ""), row["identity"])} for row in jobs]
    videos = {
        (template.name(row, ".mp4"), _content(row)): original for row, original in zip(spelled, jobs, strict=True)
    }
    earlier = _earlier_rows(target)
    taken = {file: _content(row) for file, row in earlier.items()}
    named = list(zip(_numbered(videos, taken), videos.values(), strict=True))

    def sidecars(file: str, row: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
        """Return URI and name of each file beside a video, by column of the manifest."""
        columns = _SIDECARS if posters else [column for column in _SIDECARS if column != "poster_file"]
        found = {column: row.get(column.replace("_file", "_uri")) for column in columns}
        stem = file[: -len(".mp4")]
        return {column: (uri, f"{stem}{_SIDECARS[column]}") for column, uri in found.items() if uri}

    def copy(entry: tuple[str, dict[str, Any]]) -> bool | TroupeError:
        file, row = entry
        with scratch_folder() as folder:
            try:
                video = _fetch(store, row, (row["crop_uri"] if crop else None) or _main(row), folder)
                beside = [(name, _fetch(store, row, uri, folder)) for uri, name in sidecars(file, row).values()]
            except TroupeError as error:
                return error
            created = _put(target, video, file)
            for name, fetched in beside:
                _put(target, fetched, name)
            return created

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="deliver") as threads:
        outcomes = list(threads.map(copy, named))
    copied = {
        file: {"file": file} | {column: name for column, (_, name) in sidecars(file, row).items()} | _shown(row)
        for (file, row), outcome in zip(named, outcomes, strict=True)
        if isinstance(outcome, bool)
    }
    # Recorded before the manifest is written: whoever is interrupted here repeats it.
    _record(store, target, [row for file, row in copied.items() if file not in earlier])
    listed = _manifest({**earlier, **copied}, rows.schema)
    target.replace(to_csv(listed, excel=excel).encode(), "manifest.csv")
    target.replace(to_parquet(listed), _MANIFEST)
    problems = [
        f"{row['job_id']}: {outcome.message}"
        for (_, row), outcome in zip(named, outcomes, strict=True)
        if isinstance(outcome, TroupeError)
    ]
    return DeliveryReport(outcomes.count(True), outcomes.count(False), tuple(problems), target.uri(_MANIFEST))


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without the credentials that URIs may have in rows of earlier versions."""
    return {name: uris.redacted_text(value) if isinstance(value, str) else value for name, value in row.items()}


def _refuse_stores(store: Store, target: Store) -> None:
    """Refuse a store, or a folder inside one, whose own files an export could take the names of.

    Raises:
        SettingsError: the target is one.
    """
    place = target.url.rstrip("/")
    while place.count("/") > (2 if "://" in place else 0):
        if place == store.url.rstrip("/") or _is_store(place):
            raise SettingsError(f"{target.url} is in the store {place}; choose a folder outside of it")
        place = place.rpartition("/")[0]


def _is_store(url: str) -> bool:
    """Return whether there are runs at a URL; False if it may not be listed."""
    with suppress(StoreError):
        return any(key.endswith("/request.parquet") for key in open_store(url).list("runs"))
    return False


def _put(target: Store, local: tuple[Path, str], file: str) -> bool:
    """Put a file with its hash; return whether it was created."""
    path, sha256 = local
    put = target.put(path, file, sha256)
    if put.sha256 != sha256:
        raise SettingsError(f"{target.uri(file)} is another file; choose another folder or other names")
    return put.created


def _earlier_rows(target: Store) -> dict[str, dict[str, Any]]:
    """Return the rows of the manifest that is there, by file."""
    if not target.exists(_MANIFEST):
        return {}
    try:
        return {row["file"]: row for row in pq.read_table(io.BytesIO(target.read(_MANIFEST))).to_pylist()}
    except (pa.ArrowException, OSError, KeyError) as error:
        raise SettingsError(
            f"{target.uri(_MANIFEST)} cannot be read ({reason(error)}); choose another folder, or remove it"
        ) from error


def _manifest(listed: Mapping[str, dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Return the rows of the manifest, sorted by file. Rows of another version of troupe lack columns, or have more."""
    beside = [column for column in _SIDECARS if any(row.get(column) for row in listed.values())]
    first = [pa.field(column, pa.string()) for column in ("file", *beside)]
    return pa.Table.from_pylist([listed[file] for file in sorted(listed)], pa.schema([*first, *schema]))


def _record(store: Store, target: Store, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    try:
        record_export(store, target.url, rows)
    except StoreError as error:
        _log.warning("the export is not recorded in the catalog: %s", error)


def _content(row: dict[str, Any]) -> str:
    """Return what is equal for rows with the same video."""
    return str(row["render_key"] or row["full_uri"] or row["crop_uri"])


def _main(row: dict[str, Any]) -> str:
    """Return the URI of the video that the row's checksum is of."""
    return str(row["full_uri"] or row["crop_uri"])


def _fetch(store: Store, row: dict[str, Any], recorded: str, folder: Path) -> tuple[Path, str]:
    """Fetch a file of the row's render from the store's current location, which may differ from the recorded one.

    Returns:
        the file and its SHA-256.

    Raises:
        DamagedFile: it is not the one that was rendered.
    """
    uri, name, key = recorded, uris.name(recorded), row["render_key"]
    if key:
        uri = store.uri(f"renders/{key}/{name}")
    expected = row["checksum"]
    if recorded != _main(row):
        record = find_record(store, f"renders/{key}") if key else None
        expected = (record or {}).get("files", {}).get(name, {}).get("sha256")
    path = localise(uri, folder)
    sha256 = file_sha256(path)
    if expected and sha256 != expected:
        record = find_record(store, f"renders/{key}") if key else None
        if record is not None and record["checksum"] == sha256:
            raise DamagedFile(f"{uri} was made again by run {record['run_id']}; export that run, or a later one")
        raise DamagedFile(
            f"{uri} is damaged: it is not the file that the catalog describes; run "
            "`troupe store check --deep --repair`, and then the jobs again"
        )
    return path, sha256


def _numbered(videos: Iterable[tuple[str, str]], there: Mapping[str, str]) -> Iterator[str]:
    """Yield names for the videos, numbering those that other videos have.

    Compared without case, for case-insensitive file systems.

    Args:
        videos: wanted names, and what is in them.
        there: files of earlier exports, and what is in them.
    """
    taken = {"manifest.csv": "", _MANIFEST: ""} | {file.casefold(): content for file, content in there.items()}
    for name, content in videos:
        stem, _, suffix = name.rpartition(".")
        candidate, number = name, 1
        while taken.setdefault(candidate.casefold(), content) != content:
            number += 1
            candidate = f"{stem}-{number}.{suffix}"
        yield candidate
