"""The commits of a Delta table, one after the other: which rows each of them added."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from catalogs.store.store import Store
from troupe.errors import StoreError

__all__ = ["Commit", "DeltaLog", "LogGapError"]


class LogGapError(Exception):
    """A commit, or a file that it added, is gone: the table was compacted and vacuumed meanwhile."""


@dataclass(frozen=True)
class Commit:
    """A commit of a Delta table.

    Attributes:
        version: version of the table after it.
        at: when it was made, by its writer's clock, UTC.
        rows: rows that it added, file by file.
    """

    version: int
    at: datetime
    rows: list[pa.Table]


class DeltaLog:
    """Log of an append-only Delta table. Reads what it needs, so that a look for new commits is one request.

    Commits that only rewrite rows, as compaction does (`dataChange` is false), add none.

    Args:
        folder: folder of the table in the store.
    """

    def __init__(self, store: Store, folder: str) -> None:
        self._store, self._folder = store, folder
        self._known: int | None = None  # version after which nothing was missing

    def head(self) -> int:
        """Return the version of the last commit; -1 without a table.

        Raises:
            StoreError: the log cannot be listed.
        """
        names = (key.rpartition("/")[2] for key in self._store.list(f"{self._folder}/_delta_log"))
        stems = (name.removesuffix(".json") for name in names if name.endswith(".json"))
        return max((int(stem) for stem in stems if stem.isdecimal()), default=-1)

    def after(self, version: int, columns: Sequence[str]) -> Iterator[Commit]:
        """Yield the commits after a version.

        Args:
            columns: columns to read; those that a file lacks are missing.

        Raises:
            LogGapError: what followed the version cannot be read any more.
            StoreError: the log cannot be read.
        """
        while self._store.exists(self._key(version + 1)):
            self._known = version = version + 1
            at, files = self._added(version)
            yield Commit(version, at, [self._rows(file, columns) for file in files])
        if version != self._known:
            # At the end of the log, the last commit is still there; where the log was cleaned up, it is not.
            if (version < 0 or not self._store.exists(self._key(version))) and self.head() > version:
                raise LogGapError
            self._known = version

    def _key(self, version: int) -> str:
        return f"{self._folder}/_delta_log/{version:020d}.json"

    def _added(self, version: int) -> tuple[datetime, list[str]]:
        """Return the time of a commit, and the keys of the files that it added."""
        key = self._key(version)
        try:
            actions: dict[str, list[Mapping[str, Any]]] = {}
            for line in self._read(key).splitlines():
                for name, action in json.loads(line).items() if line.strip() else ():
                    actions.setdefault(name, []).append(action)
            milliseconds = actions.get("commitInfo", [{}])[0].get("timestamp", 0)
            added = [action["path"] for action in actions.get("add", ()) if action.get("dataChange", True)]
            return datetime.fromtimestamp(milliseconds / 1000, UTC), [f"{self._folder}/{unquote(p)}" for p in added]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"{self._store.uri(key)} is damaged: {error}") from error

    def _rows(self, key: str, columns: Sequence[str]) -> pa.Table:
        try:
            with pq.ParquetFile(io.BytesIO(self._read(key))) as file:
                names = set(file.schema_arrow.names)
                return file.read([name for name in columns if name in names], use_threads=False)
        except pa.ArrowException as error:
            raise StoreError(
                f"{self._store.uri(key)} is damaged: {error}; see {self._store.command('store check')}"
            ) from error

    def _read(self, key: str) -> bytes:
        try:
            return self._store.read(key)
        except StoreError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise LogGapError from error
            raise
