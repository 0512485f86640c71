"""Storage of decisions: a Delta table beside the catalog, or a file each in stores that deltalake does not support."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from catalogs.review.decision import Decision
from catalogs.store.error_text import reason
from catalogs.store.retry import is_transient, retry_call
from catalogs.store.store import Store
from catalogs.table.append import create_table
from catalogs.table.arrow_fs import arrow_filesystem
from catalogs.table.snapshot import open_table
from troupe.errors import StoreError

__all__ = ["DECISIONS", "DECISIONS_FOLDER", "DecisionLog", "decisions_table", "open_log"]

_log = logging.getLogger(__name__)

DECISIONS_FOLDER = "decisions"
"""Key of the table of decisions."""
_TEXT = pa.string()
_TYPES: dict[str, Any] = {
    "decision_id": _TEXT,
    "decided_at": pa.timestamp("us", "UTC"),
    "reviewer": _TEXT,
    "scope": _TEXT,
    "key": _TEXT,
    "kind": _TEXT,
    "reason": _TEXT,
    "comment": _TEXT,
    "time_seconds": pa.float64(),
    "undoes": _TEXT,
    "run_id": _TEXT,
    "job_id": _TEXT,
    "automatic": _TEXT,
}
DECISIONS = pa.schema(_TYPES)
"""Columns of the table. Columns are only added, at the end."""
_MAX_FILES = 128
"""Files of the table from which on they are merged: every decision is a file of its own at first."""
_THREADS = 16


class DecisionLog(Protocol):
    """Decisions as they are stored; a decision may be stored twice."""

    def append(self, decisions: Sequence[Decision]) -> None:
        """Store decisions; as one commit in the Delta table. Raises the errors of the store's client."""

    def delete(self, keys: Sequence[str]) -> None:
        """Delete the decisions about films and pictures of these keys. Raises the errors of the store's client."""

    def read_new(self) -> tuple[bool, list[Decision]]:
        """Return what was stored since the last call, and whether it is everything there is.

        Raises the errors of the store's client.
        """


def open_log(store: Store) -> DecisionLog:
    """Return the log of a store; nothing is read or written yet."""
    return _FileLog(store) if store.delta(DECISIONS_FOLDER) is None else _DeltaLog(store)


def decisions_table(decisions: Sequence[Decision]) -> pa.Table:
    """Return decisions as a table."""
    return pa.Table.from_pylist([asdict(decision) for decision in decisions], DECISIONS)


class _DeltaLog:
    """The Delta table; Delta Lake's optimistic concurrency orders commits of other writers."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._table: DeltaTable | None = None
        self._place: tuple[str, dict[str, str]] | None = None
        self._known: set[str] = set()
        self._read_version: object = None

    def append(self, decisions: Sequence[Decision]) -> None:
        table = self._opened() or create_table(self._store, DECISIONS_FOLDER, DECISIONS)
        self._table = None  # reopened after a failure
        write_deltalake(table, decisions_table(decisions), mode="append", schema_mode="merge")
        self._table = table
        if len(_paths(table)) > _MAX_FILES:
            try:
                table.optimize.compact()
            except (DeltaError, OSError) as error:  # another writer merges them
                _log.debug("the decisions of %s are not compacted: %s", self._store.url, reason(error))
                self._table = None

    def delete(self, keys: Sequence[str]) -> None:
        table = self._opened()
        if table is None:
            return
        self._table = None
        listed = ", ".join("'" + key.replace("'", "''") + "'" for key in keys)
        table.delete(f"key IN ({listed})")

    def read_new(self) -> tuple[bool, list[Decision]]:
        table = self._opened()
        version = None if table is None else (table.metadata().id, table.version())
        if version is not None and version == self._read_version:
            return False, []
        files = _paths(table) if table is not None else set()
        everything = not self._known <= files  # files were merged, or decisions were deleted
        wanted = sorted(files if everything else files - self._known)
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="decisions") as pool:
            found = [decision for part in pool.map(self._read, wanted) for decision in part]
        self._known, self._read_version = files, version
        return everything, found

    def _opened(self) -> DeltaTable | None:
        """Return the table as it is now; None if it does not exist."""
        place = self._store.delta(DECISIONS_FOLDER)
        table, self._table = self._table, None  # reopened after a failure
        if table is None or place != self._place:  # a role's credentials are renewed
            table = open_table(self._store, key=DECISIONS_FOLDER)
        else:
            table.update_incremental()
        self._table, self._place = table, place
        return table

    def _read(self, path: str) -> list[Decision]:
        uri, options = self._place or ("", {})
        files = arrow_filesystem(uri, options)
        if files is not None:
            return _from_table(pq.read_table(path, filesystem=files))
        return _from_table(pq.read_table(pa.BufferReader(self._store.read(f"{DECISIONS_FOLDER}/{path}"))))


class _FileLog:
    """A file for each decision, named by its id."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: set[str] = set()

    def append(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            values = asdict(decision) | {"decided_at": decision.decided_at.isoformat()}
            self._store.put_bytes(json.dumps(values).encode(), f"{DECISIONS_FOLDER}/{decision.decision_id}.json")

    def delete(self, keys: Sequence[str]) -> None:
        for file in self._store.list(DECISIONS_FOLDER):
            if self._read(file).key in keys:
                self._store.delete(file)

    def read_new(self) -> tuple[bool, list[Decision]]:
        files = set(self._store.list(DECISIONS_FOLDER))
        everything = not self._known <= files
        wanted = sorted(files if everything else files - self._known)
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="decisions") as pool:
            found = list(pool.map(self._read, wanted))
        self._known = files
        return everything, found

    def _read(self, key: str) -> Decision:
        try:
            values = json.loads(self._store.read(key))
            known = {name: values[name] for name in _NAMES}
            return _of(known | {"decided_at": datetime.fromisoformat(values["decided_at"])})
        except (ValueError, TypeError, KeyError) as error:
            raise StoreError(f"{self._store.uri(key)} is damaged: {error}; remove it") from error


def _paths(table: DeltaTable) -> set[str]:
    return set(map(str, pa.table(table.get_add_actions(flatten=True)).column("path").to_pylist()))


def _from_table(table: pa.Table) -> list[Decision]:
    return [_of(row) for row in table.to_pylist()]


_NAMES = frozenset(field.name for field in fields(Decision))


def _of(values: dict[str, Any]) -> Decision:
    """Return a decision that was stored, and so was checked; columns that a newer version added are ignored."""
    decision = object.__new__(Decision)
    decision.__dict__.update({name: value for name, value in values.items() if name in _NAMES})
    return decision


def retrying(action: str, store: Store, call: Any) -> Any:
    """Return `call()`; try again if its error is transient, or another writer was faster.

    Raises:
        StoreError: it failed.
    """
    try:
        return retry_call(call, lambda error: isinstance(error, CommitFailedError) or is_transient(error))
    except (DeltaError, OSError, pa.ArrowException) as error:
        raise StoreError(f"cannot {action} the decisions of {store.url}: {reason(error)}; check the store") from error
