"""The manifest beside exported files, as Parquet and CSV, and the record of an export in the store."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from catalogs.export.films import film_content
from catalogs.query.jobs import to_csv, to_parquet
from catalogs.store import uris
from catalogs.store.error_text import reason
from catalogs.store.store import Store
from catalogs.table.exports import record_export
from troupe.errors import SettingsError, StoreError

__all__ = [
    "MANIFEST",
    "MANIFEST_FILES",
    "ManifestRows",
    "manifest_row",
    "read_manifest",
    "record_rows",
    "write_manifest",
]

_log = logging.getLogger(__name__)

MANIFEST = "manifest.parquet"
_CSV = "manifest.csv"
MANIFEST_FILES: Mapping[str, str] = {MANIFEST: "", _CSV: ""}
"""Names that no exported file may have, and what is in them."""
_FIRST = (
    *("file", "poster_file", "subtitles_vtt_file", "subtitles_srt_file", "master_file", "master_c2pa_file"),
    *("package", "track"),
)
"""Columns before those of the catalog; all but the first only where a row has them."""

ManifestRows: TypeAlias = dict[tuple[str, str], dict[str, Any]]
"""Rows by file and by content of the film: a package is one file of many films."""


def manifest_row(row: Mapping[str, Any], file: str, **first: str | None) -> dict[str, Any]:
    """Return the row of a film in a file, without the credentials that URIs may have in rows of earlier versions."""
    shown = {name: uris.redacted_text(value) if isinstance(value, str) else value for name, value in row.items()}
    return {"file": file, **first, **shown}


def read_manifest(target: Store) -> ManifestRows:
    """Return the rows of the manifest that is there.

    Raises:
        SettingsError: it cannot be read.
    """
    if not target.exists(MANIFEST):
        return {}
    try:
        rows = pq.read_table(io.BytesIO(target.read(MANIFEST))).to_pylist()
        return {(row["file"], film_content(row)): row for row in rows}
    except (pa.ArrowException, OSError, KeyError) as error:
        raise SettingsError(
            f"{target.uri(MANIFEST)} cannot be read ({reason(error)}); choose another folder, or remove it"
        ) from error


def record_rows(store: Store, target: Store, earlier: ManifestRows, written: ManifestRows) -> None:
    """Record in the store what an export wrote and no earlier one into this target did."""
    if new := [row for key, row in written.items() if key not in earlier]:
        try:
            record_export(store, target.url, new)
        except StoreError as error:
            _log.warning("the export is not recorded in the catalog: %s", error)


def write_manifest(
    target: Store, earlier: ManifestRows, exported: ManifestRows, schema: pa.Schema, *, excel: bool
) -> str:
    """Write the manifest with the rows of earlier exports; return its URI.

    Written after everything else: whoever is interrupted before repeats the export.

    Args:
        target: destination of the export.
        earlier: rows of earlier exports into it.
        exported: rows of this export; of those with the same film, this one's count.
        schema: schema of the catalog's columns.
        excel: as in `to_csv`.
    """
    listed = {**earlier, **exported}
    rows = [listed[key] for key in sorted(listed)]
    # Rows of another version of troupe lack columns, or have more.
    first = [n for n in _FIRST if n == "file" or any(row.get(n) for row in rows)]
    table = pa.Table.from_pylist(rows, pa.schema([*((name, pa.string()) for name in first), *schema]))
    target.replace(to_csv(table, excel=excel).encode(), _CSV)
    target.replace(to_parquet(table), MANIFEST)
    return target.uri(MANIFEST)
