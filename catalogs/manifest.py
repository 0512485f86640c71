"""What a run produced, as one plain Parquet file for any reader."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq

from catalogs.keys import run_key
from catalogs.rows import latest, snapshot
from catalogs.store import Store, reason
from troupe.errors import StoreError

__all__ = ["read_manifest", "write_manifest"]

_NAME = "manifest.parquet"


def write_manifest(store: Store, run_id: str) -> str:
    """Write `runs/<run_id>/manifest.parquet` from the rows committed so far, one a job, and return its key.

    Raises:
        SettingsError: the run_id cannot be one.
        StoreError: the rows cannot be read, or the manifest not written.
    """
    key = run_key(run_id, _NAME)
    rows = latest(snapshot(store, run_id).read()).sort_by("job_id")
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    store.replace(sink.getvalue(), key)
    return key


def read_manifest(store: Store, run_id: str) -> pa.Table:
    """The manifest of a run.

    Raises:
        SettingsError: the run_id cannot be one.
        StoreError: there is none, or it cannot be read.
    """
    key = run_key(run_id, _NAME)
    try:
        return pq.read_table(io.BytesIO(store.read(key)))
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{store.uri(key)} is damaged: {reason(error)}; write it again") from error
