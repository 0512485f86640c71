"""Rows of stores that cannot hold a Delta table: the runs' own files."""

from __future__ import annotations

import io
from itertools import groupby

import pyarrow as pa
import pyarrow.parquet as pq

from catalogs.store.error_text import reason
from catalogs.store.keys import valid_id
from catalogs.store.store import Store
from catalogs.table.schema import SCHEMA, conform
from troupe.errors import StoreError

__all__ = ["read_run_files"]


def read_run_files(store: Store, run_id: str | None) -> pa.Table:
    """Return the rows of one run, or of all of them, also rows that later ones replace.

    Raises:
        StoreError: a file cannot be read.
    """
    if run_id is not None and not valid_id(run_id):
        return SCHEMA.empty_table()
    keys = store.list("runs" if run_id is None else f"runs/{run_id}")
    tables = [SCHEMA.empty_table()]
    for _, files in groupby(keys, key=lambda key: key.split("/")[1]):
        names = list(files)
        # The parts are complete; the manifest is made from them and may be older.
        parts = [key for key in names if key.split("/")[2] == "parts" and key.endswith(".parquet")]
        parts = parts or [key for key in names if key.endswith("/manifest.parquet")]
        tables += [conform(_read_parquet(store, key)) for key in parts]
    return pa.concat_tables(tables, promote_options="default")


def _read_parquet(store: Store, key: str) -> pa.Table:
    try:
        return pq.read_table(io.BytesIO(store.read(key)))
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{store.uri(key)} is damaged: {reason(error)}; remove it, and run again") from error
