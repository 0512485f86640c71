"""Adding a batch of rows to what a store remembers, all of it or nothing, and once."""

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

__all__ = ["Commits", "commits_to", "create_table"]


class Commits(Protocol):
    """Where a ledger's batches go."""

    def add(self, rows: pa.Table) -> None:
        """Commit the rows.

        Raises:
            StoreError: they are not, or not known to be, committed. The next call has to give the same rows again;
                they are committed once all the same.
        """


def commits_to(store: Store, run_id: str) -> Commits:
    """To the Delta table, or to files of the run where deltalake cannot go.

    Raises:
        SettingsError: the run_id cannot be used.
    """
    prefix = run_key(run_id, "parts")
    return _Parts(store, prefix) if store.delta() is None else _Delta(store, run_id)


class _Delta:
    """Appends to the Delta table. Other writers are no obstacle: delta's own rules settle who comes first."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        # With a number for every batch, the table itself knows whether a commit whose answer was lost took place.
        self._writer = f"{run_id}/{uuid4().hex}"
        self._batch = 0
        self._table: DeltaTable | None = None

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
        table, self._table = self._table, None  # after a failure, a fresh look
        if table is None:
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


def create_table(store: Store) -> DeltaTable:
    """The store's Delta table, made if it is not there."""
    uri, options = store.delta() or ("", {})
    # Without retries: one that lost against another creator would put its own schema over the other's.
    once = CommitProperties(max_commit_retries=0)
    return DeltaTable.create(
        uri,
        _physical(),
        mode="ignore",
        storage_options=options,
        commit_properties=once,
        configuration={"delta.dataSkippingStatsColumns": ",".join(INDEXED)},
    )


def _physical() -> pa.Schema:
    """The schema with the indexed columns first: deltalake 1.6 loses statistics of columns behind nested ones."""
    return pa.schema(sorted(SCHEMA, key=lambda field: field.name not in INDEXED))


class _Parts:
    """Numbered Parquet files of the run."""

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
