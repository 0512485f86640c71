"""Append batches of rows to the catalog, atomically and exactly once."""

from __future__ import annotations

import io
from typing import Protocol
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from catalogs.store.error_text import reason
from catalogs.store.keys import run_key
from catalogs.store.retry import is_transient, retry_call
from catalogs.store.store import Store
from catalogs.table.schema import INDEXED, SCHEMA
from catalogs.table.snapshot import open_table
from troupe.errors import StoreError

__all__ = ["Appender", "create_table", "open_appender"]


class Appender(Protocol):
    """Destination of a row buffer's batches."""

    def add(self, rows: pa.Table) -> None:
        """Commit the rows.

        Raises:
            StoreError: the commit failed, or its outcome is unknown. The next call has to pass the same rows again;
                they are still committed only once.
        """


def open_appender(store: Store, run_id: str) -> Appender:
    """Open an appender to the Delta table, or to the run's own files in stores that deltalake does not support.

    Raises:
        SettingsError: the run_id is invalid.
    """
    prefix = run_key(run_id, "parts")
    return _ParquetAppender(store, prefix) if store.delta() is None else _DeltaAppender(store, run_id)


class _DeltaAppender:
    """Appends to the Delta table; Delta Lake's optimistic concurrency orders commits of other writers."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        # Each batch is numbered, so that the table records whether a commit took place even if its response was lost.
        self._writer = f"{run_id}/{uuid4().hex}"
        self._batch = 0
        self._table: DeltaTable | None = None
        self._place: tuple[str, dict[str, str]] | None = None

    def add(self, rows: pa.Table) -> None:
        try:
            retry_call(
                lambda: self._append(rows), lambda error: isinstance(error, CommitFailedError) or is_transient(error)
            )
        except (DeltaError, OSError) as error:
            raise StoreError(
                f"cannot commit {len(rows)} rows to the catalog of {self._store.url}: {reason(error)}; check the store"
            ) from error
        self._batch += 1

    def _append(self, rows: pa.Table) -> None:
        table, self._table = self._table, None  # reloaded after a failure
        place = self._store.delta()
        if table is None or place != self._place:  # a role's credentials are renewed in long runs
            self._place = place
            table = open_table(self._store) or create_table(self._store)
            if table.transaction_version(self._writer) == self._batch:
                self._table = table
                return
        write_deltalake(
            table,
            rows,
            mode="append",
            schema_mode="merge",
            commit_properties=CommitProperties(app_transactions=[Transaction(self._writer, self._batch)]),
        )
        self._table = table


def create_table(store: Store, key: str = "catalog", schema: pa.Schema | None = None) -> DeltaTable:
    """Return a Delta table of the store; create it if it does not exist.

    Args:
        store: store of the table.
        key: key of the table; default the catalog's.
        schema: its columns, if it is not the catalog.
    """
    uri, options = store.delta(key) or ("", {})
    # Without retries: a retry after a concurrent creation would overwrite the other writer's schema.
    no_retry = CommitProperties(max_commit_retries=0)
    return DeltaTable.create(
        uri,
        schema or _physical(),
        mode="ignore",
        storage_options=options,
        commit_properties=no_retry,
        configuration={"delta.dataSkippingStatsColumns": ",".join(INDEXED)} if schema is None else {},
    )


def _physical() -> pa.Schema:
    """Return the schema with the indexed columns first: deltalake 1.6 loses statistics of columns after nested ones."""
    return pa.schema(sorted(SCHEMA, key=lambda field: field.name not in INDEXED))


class _ParquetAppender:
    """Appends numbered Parquet files to the run."""

    def __init__(self, store: Store, prefix: str) -> None:
        self._store, self._prefix = store, prefix
        self._next: int | None = None

    def add(self, rows: pa.Table) -> None:
        if self._next is None:
            self._next = len(self._store.list(self._prefix))
        sink = io.BytesIO()
        pq.write_table(rows, sink)
        # Another process of the same run may have taken the number.
        while not self._store.put_bytes(sink.getvalue(), f"{self._prefix}/{self._next:05d}.parquet").created:
            self._next += 1
        self._next += 1
