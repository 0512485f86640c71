"""Columns of the latest row of every job and run in memory, for programs that query a catalog again and again.

Only columns that were asked for are held. Files of the Delta table never change, so that after a commit no more than
its new files are read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from catalogs.store.error_text import reason
from catalogs.store.retry import retry_call
from catalogs.store.store import Store
from catalogs.table.schema import SCHEMA
from catalogs.table.snapshot import Snapshot, latest_rows, open_table, snapshot
from troupe.errors import SettingsError, StoreError

__all__ = ["JobIndex"]

_CHECK_SECONDS = 1.0
"""Least time between two looks for a new version of the table."""
_REOPEN_SECONDS = 60.0
"""Time after which a table is opened anew: it may have been repaired, which replaces it."""
_KEY = ("run_id", "job_id", "recorded_at", "status")
"""Columns that determine the latest row of a job and run."""


class JobIndex:
    """The jobs of a store's catalog, as of about a second ago. Thread-safe.

    Args:
        store: store of the catalog.
        check_seconds: least time in seconds between two looks for new rows.
        reopen_seconds: time in seconds after which a table is noticed that replaced the one before.
    """

    def __init__(
        self, store: Store, check_seconds: float = _CHECK_SECONDS, reopen_seconds: float = _REOPEN_SECONDS
    ) -> None:
        self.store = store
        self._check_seconds, self._reopen_seconds = check_seconds, reopen_seconds
        self._opened = float("-inf")
        self._lock = threading.Lock()
        self._table: DeltaTable | None = None
        self._version: object = None
        self._checked = float("-inf")
        self._data: ds.Dataset = ds.dataset(SCHEMA.empty_table())
        self._parts: list[_Part] = []
        self._latest: dict[str, Any] = {}
        self._places: Any = None

    def jobs(self, columns: Iterable[str]) -> pa.Table:
        """Return columns of the latest row of every job and run, and the columns that identify them.

        Raises:
            SettingsError: a column does not exist.
            StoreError: the catalog cannot be read.
        """
        names = list(dict.fromkeys([*_KEY, *columns]))
        with self._lock:
            self._refresh()
            if unknown := set(names) - set(self._data.schema.names):
                raise SettingsError(f"the catalog of {self.store.url} has no column {', '.join(sorted(unknown))}")
            if missing := [name for name in names if name not in self._latest]:
                rows = pa.concat_tables([part.read(missing) for part in self._parts])
                if not self._latest:
                    self._places = _latest_places(rows)
                rows = rows if self._places is None else rows.take(self._places)
                self._latest |= {name: rows.column(name) for name in missing}
            return pa.table({name: self._latest[name] for name in names})

    def rows(self, where: pc.Expression) -> pa.Table:
        """Return every row ever recorded that meets a condition, with all columns, read anew.

        Raises:
            StoreError: the catalog cannot be read.
        """
        with self._lock:
            self._refresh()
            data = self._data
        return Snapshot(self.store.url, data).read(where)

    @property
    def version(self) -> object:
        """What differs when there are new rows.

        Raises:
            StoreError: the catalog cannot be read.
        """
        with self._lock:
            self._refresh()
            return self._version

    def _refresh(self) -> None:
        """Notice a new version of the table, and drop what is not part of it any more."""
        if time.monotonic() - self._checked < self._check_seconds:
            return
        version = self._current_version()
        if version is None or version != self._version:
            data = snapshot(self.store).data
            self._parts, self._latest = _parts(self.store.url, data, self._parts), {}
            self._data, self._version = data, version if version is not None else object()
        self._checked = time.monotonic()

    def _current_version(self) -> object:
        """Return the table's id and version; None if these are not known without reading the rows."""
        if self.store.delta() is None:
            return None
        if self._table is None or time.monotonic() - self._opened >= self._reopen_seconds:
            self._table, self._opened = open_table(self.store), time.monotonic()
            if self._table is None:
                return None
        table = self._table
        try:
            retry_call(table.update_incremental)
        except (DeltaError, OSError) as error:
            raise StoreError(f"cannot read the catalog of {self.store.url}: {reason(error)}; run again") from error
        return table.metadata().id, table.version()


class _Part:
    """Files that were new in some version of the table, and the columns of their rows that were read."""

    def __init__(self, rows: Snapshot, paths: frozenset[str]) -> None:
        self.rows, self.paths = rows, paths
        self._columns: dict[str, Any] = {}

    def read(self, names: list[str]) -> pa.Table:
        """Return columns of all rows, in an order that is always the same."""
        if missing := [name for name in names if name not in self._columns]:
            read = self.rows.read(columns=missing)
            self._columns |= {name: read.column(name) for name in missing}
        return pa.table({name: self._columns[name] for name in names})


def _parts(url: str, data: ds.Dataset, known: list[_Part]) -> list[_Part]:
    """Return the parts of a new version of the table: the known ones that are in it, and one with all other files."""
    if not isinstance(data, ds.FileSystemDataset):
        return [_Part(Snapshot(url, data), frozenset())]
    found: Any = data.get_fragments()
    fragments = {fragment.path: fragment for fragment in found}
    kept = [part for part in known if part.paths and part.paths <= fragments.keys()]
    new = fragments.keys() - frozenset().union(*(part.paths for part in kept))
    added = ds.FileSystemDataset([fragments[path] for path in sorted(new)], data.schema, data.format, data.filesystem)
    return [*kept, _Part(Snapshot(url, added), frozenset(new))]


def _latest_places(rows: pa.Table) -> Any:
    """Return the places of the latest rows of every job and run; None if all are."""
    latest = latest_rows(rows.append_column("place", pa.array(range(len(rows)), pa.int64())))
    return None if len(latest) == len(rows) else latest.column("place")
