"""Reading committed rows back, from the Delta table or, where there is none, from the runs' own files."""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError
from numpy.typing import NDArray

from catalogs.keys import valid_id
from catalogs.retries import again
from catalogs.schema import SCHEMA, conform
from catalogs.store import Store, reason
from troupe.errors import SettingsError, StoreError

__all__ = ["Snapshot", "latest", "open_table", "snapshot"]


@dataclass(frozen=True)
class Snapshot:
    """Committed rows as they were at one moment, in no order; several of a job where a run was resumed."""

    url: str
    data: ds.Dataset

    def read(self, where: pc.Expression | None = None, columns: list[str] | None = None) -> pa.Table:
        """The rows that fulfil `where`, which is pushed down to the files' statistics, and their `columns`.

        Raises:
            SettingsError: there is no such column.
            StoreError: they cannot be read.
        """
        unknown = set(columns or ()) - set(self.data.schema.names)
        if unknown:
            raise SettingsError(f"the catalog of {self.url} has no column {', '.join(sorted(unknown))}")
        try:
            return again(lambda: self.data.to_table(filter=where, columns=columns))
        except (DeltaError, OSError, pa.ArrowException) as error:
            raise StoreError(f"cannot read the catalog of {self.url}: {reason(error)}; run again") from error


def snapshot(store: Store, run_id: str | None = None) -> Snapshot:
    """The rows of a run, or of all runs, as they are now. Columns: the schema's, then what a newer version added.

    Raises:
        StoreError: they cannot be read.
    """
    if store.delta() is None:
        return Snapshot(store.url, ds.dataset(_of_runs(store, run_id)))
    table = open_table(store)
    if table is None:
        return Snapshot(store.url, ds.dataset(SCHEMA.empty_table()))
    data = table.to_pyarrow_dataset(schema=_grown(table))
    return Snapshot(store.url, data if run_id is None else data.filter(pc.field("run_id") == run_id))


def open_table(store: Store) -> DeltaTable | None:
    """The store's Delta table as it is now; None if nothing was ever committed.

    Raises:
        StoreError: it cannot be read, or the store has no Delta table.
    """
    place = store.delta()
    if place is None:
        raise StoreError(f"{store.url} cannot hold a Delta table; use a local folder or S3")
    uri, options = place
    try:
        # `DeltaTable.is_deltatable` would be the question, but keeps the interpreter locked until it is answered.
        return again(lambda: DeltaTable(uri, storage_options=options))
    except TableNotFoundError:
        return None
    except (DeltaError, OSError) as error:
        raise StoreError(f"cannot read the catalog of {store.url}: {reason(error)}; check the store") from error


def latest(rows: pa.Table) -> pa.Table:
    """Of each job and run the row that counts: the last one recorded, but a `done` rather than a `reused`.

    (A run that was resumed finds again what it had made itself; that it made it is what remains true.)

    Args:
        rows: with run_id, job_id, status and recorded_at at least.
    """
    jobs = _codes(rows, "run_id") * (len(rows) + 1) + _codes(rows, "job_id")
    if len(np.unique(jobs)) == len(jobs):
        return rows
    status = rows.column("status").to_numpy()
    found_again = (status == "reused") & np.isin(jobs, jobs[status == "done"])
    times = rows.column("recorded_at").cast(pa.int64()).to_numpy()
    order = np.lexsort((times, ~found_again, jobs))
    last = np.flatnonzero(np.diff(jobs[order], append=-1))
    return rows.take(np.sort(order[last]))


def _codes(rows: pa.Table, column: str) -> NDArray[np.int64]:
    """Equal numbers for equal texts."""
    codes: Any = rows.column(column).combine_chunks().dictionary_encode()
    return np.asarray(codes.indices.fill_null(-1)).astype(np.int64) + 1


def _grown(table: DeltaTable) -> pa.Schema:
    """The schema, and what a newer version added to the table; what the table lacks reads as null."""
    grown = SCHEMA
    there: Any = table.schema().to_arrow()
    for field in pa.schema(there):
        if field.name not in SCHEMA.names:
            grown = grown.append(field)
    return grown


def _of_runs(store: Store, run_id: str | None) -> pa.Table:
    if run_id is not None and not valid_id(run_id):
        return SCHEMA.empty_table()
    keys = store.list("runs" if run_id is None else f"runs/{run_id}")
    tables = [SCHEMA.empty_table()]
    for _, files in groupby(keys, key=lambda key: key.split("/")[1]):
        names = list(files)
        # The parts are all there is; the manifest is made of them, and may be older.
        parts = [key for key in names if key.split("/")[2] == "parts" and key.endswith(".parquet")]
        parts = parts or [key for key in names if key.endswith("/manifest.parquet")]
        tables += [conform(_parquet(store, key)) for key in parts]
    return pa.concat_tables(tables, promote_options="default")


def _parquet(store: Store, key: str) -> pa.Table:
    try:
        return pq.read_table(io.BytesIO(store.read(key)))
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{store.uri(key)} is damaged: {reason(error)}; remove it, and run again") from error
