"""A run's manifest: its results in one plain Parquet file, one row per job.

Rows are sorted through temporary files, so that memory hardly grows with the run.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from catalogs.store.error_text import DISK_FULL, reason
from catalogs.store.keys import run_key
from catalogs.store.store import Store
from catalogs.table.redaction import redacted_table
from catalogs.table.schema import Row, conform
from catalogs.table.snapshot import latest_rows, snapshot
from troupe.errors import NoSpace, StoreError
from troupe.process.scratch import scratch_folder

__all__ = ["manifest_rows", "read_manifest", "write_manifest"]

_NAME = "manifest.parquet"
_ROWS = 2048
"""Rows in memory at once, and per row group."""
_FILES = 64
"""Temporary files written at once; runs of more than this many times `_ROWS` hold more rows in memory."""
_KEYS = ["run_id", "job_id", "status", "recorded_at"]
"""Columns that determine a job's latest row."""


def write_manifest(store: Store, run_id: str) -> str:
    """Write `runs/<run_id>/manifest.parquet` from the rows committed so far, one per job, and return its key.

    Raises:
        SettingsError: the run_id is invalid.
        StoreError: the rows cannot be read, or the manifest cannot be written.
    """
    key, rows = run_key(run_id, _NAME), snapshot(store, run_id)
    with scratch_folder() as folder:
        unsorted, manifest = folder / "rows.arrow", folder / _NAME
        try:
            rows.write_arrow(unsorted, _ROWS)
            with pq.ParquetWriter(manifest, rows.data.schema, write_page_checksum=True) as file:
                for part in _sorted(unsorted, folder):
                    file.write_table(redacted_table(part))
        except OSError as error:
            kind = NoSpace if error.errno in DISK_FULL else StoreError
            raise kind(f"cannot prepare {key} in {folder.parent}: {reason(error)}; free some space there") from error
        store.replace(manifest, key)
    return key


def read_manifest(store: Store, run_id: str) -> pa.Table:
    """Read the manifest of a run.

    Raises:
        SettingsError: the run_id is invalid.
        StoreError: it does not exist or cannot be read.
    """
    key = run_key(run_id, _NAME)
    try:
        return pq.read_table(io.BytesIO(store.read(key)), page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{store.uri(key)} is damaged: {reason(error)}; write it again") from error


def manifest_rows(store: Store, run_id: str) -> Iterator[Row]:
    """Yield the rows of a manifest one by one, conformed to the current schema.

    Raises:
        SettingsError, StoreError: as `read_manifest`.
    """
    key = run_key(run_id, _NAME)
    with scratch_folder() as folder:
        store.get(key, folder / _NAME)
        try:
            with pq.ParquetFile(folder / _NAME, page_checksum_verification=True) as file:
                for batch in file.iter_batches(_ROWS):
                    yield from conform(pa.Table.from_batches([batch])).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise StoreError(f"{store.uri(key)} is damaged: {reason(error)}; write it again") from error


def _sorted(unsorted: Path, folder: Path) -> Iterator[pa.Table]:
    """Yield each job's latest row of an Arrow file, sorted by job_id."""
    keys = _table(unsorted).select(_KEYS)
    keys = latest_rows(keys.append_column("row", pa.array(np.arange(len(keys)))))
    order = keys.sort_by("job_id").column("row").to_numpy()
    size = max(_ROWS, -(-len(order) // _FILES))
    # The file of each row; a file holds all jobs between its first and its last.
    parts = np.full(int(order.max(initial=-1)) + 1, -1)
    parts[order] = np.arange(len(order)) // size
    files = [folder / f"{number}.arrow" for number in range(-(-len(order) // size))]
    with pa.OSFile(str(unsorted), "rb") as source, ExitStack() as stack:
        rows: Any = pa.ipc.open_file(source)
        writers = [stack.enter_context(pa.ipc.new_file(str(file), rows.schema)) for file in files]
        start = 0
        for number in range(rows.num_record_batches):
            batch = rows.get_batch(number)
            part_of_row = parts[start : start + len(batch)]
            start += len(batch)
            for part in np.unique(part_of_row[part_of_row >= 0]):
                writers[part].write_batch(batch.take(pa.array(np.flatnonzero(part_of_row == part))))
    for file in files:
        yield _table(file).sort_by("job_id")
        file.unlink()


def _table(path: Path) -> pa.Table:
    """Open an Arrow file."""
    # Memory-mapped, so that unused columns are never read.
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
