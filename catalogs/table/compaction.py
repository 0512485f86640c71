"""Maintenance of the Delta table: merge small files, and delete files that are no longer referenced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from deltalake import DeltaTable, WriterProperties
from deltalake.exceptions import CommitFailedError, DeltaError

from catalogs.store.error_text import reason
from catalogs.store.retry import is_transient, retry_call
from catalogs.store.store import Store
from catalogs.table.snapshot import open_table
from troupe.errors import SettingsError, StoreError

__all__ = ["Compaction", "compact", "vacuum"]

T = TypeVar("T")

_FILE_BYTES = 32 * 2**20
_ROW_GROUP = 2**14
"""Rows per row group, the smallest part of a file that a query can skip by statistics."""
_Z_ORDER = ["identity", "recorded_at"]
_MIN_GRACE = timedelta(hours=1)
_DECISIONS = "decisions"
"""The table of `catalogs.review`, which merges its files itself."""


@dataclass(frozen=True)
class Compaction:
    """Result of a compaction.

    Attributes:
        removed, added: number of files; removed files stay on disk for readers until `vacuum`.
        version: version of the table afterwards.
    """

    removed: int
    added: int
    version: int


def compact(store: Store, *, order: bool = False) -> Compaction:
    """Merge small files. Runs may commit and others may read concurrently without waiting.

    Args:
        order: rewrite all files in Z-order by identity and time, so that queries by these read less. Needs about 20
            times as much memory as the table's files are large.

    Raises:
        StoreError: it failed, or lost against a concurrent compaction three times.
    """
    table = _existing(store)
    if table is None:
        return Compaction(0, 0, 0)
    properties = WriterProperties(compression="ZSTD", max_row_group_size=_ROW_GROUP)

    def optimize() -> dict[str, Any]:
        table.update_incremental()
        if order:
            return dict(table.optimize.z_order(_Z_ORDER, target_size=_FILE_BYTES, writer_properties=properties))
        return dict(table.optimize.compact(target_size=_FILE_BYTES, writer_properties=properties))

    done = _retrying("compact", store, optimize)
    if done["numFilesRemoved"]:
        _retrying("write a checkpoint of", store, table.create_checkpoint)
    return Compaction(int(done["numFilesRemoved"]), int(done["numFilesAdded"]), int(table.version()))


def vacuum(store: Store, grace: timedelta, *, dry_run: bool = False) -> list[str]:
    """Delete files that no version of the tables within `grace` references; older versions can no longer be read.

    Args:
        grace: minimum age, at least an hour, so that files of current readers and writers are kept.
        dry_run: only return the files' names.

    Returns:
        The names of the deleted files; those of the table of decisions begin with `decisions/`.

    Raises:
        SettingsError: the grace time is less than an hour or not a whole number of hours.
        StoreError: it failed.
    """
    hours = grace / timedelta(hours=1)
    if grace < _MIN_GRACE or hours != int(hours):
        raise SettingsError(f"the grace time must be a whole number of hours, at least one; it is {hours:g} h")
    catalog = _existing(store)
    decisions = open_table(store, key=_DECISIONS)
    return [
        *_unused(store, catalog, int(hours), dry_run=dry_run),
        *(f"{_DECISIONS}/{name}" for name in _unused(store, decisions, int(hours), dry_run=dry_run)),
    ]


def _unused(store: Store, table: DeltaTable | None, hours: int, *, dry_run: bool) -> list[str]:
    """Delete, or only list, the files of a table that nothing younger than some hours needs."""
    if table is None:
        return []
    # Delta Lake's default retention of a week does not apply to an explicit time.
    return _retrying(
        "clean up",
        store,
        # full: also files that killed writers left behind.
        lambda: list(table.vacuum(hours, dry_run=dry_run, enforce_retention_duration=False, full=True)),
    )


def _existing(store: Store) -> DeltaTable | None:
    if store.delta() is None:
        raise SettingsError(f"{store.url} stores its rows in the runs' own files, which need no maintenance")
    return open_table(store)


def _retrying(action: str, store: Store, call: Callable[[], T]) -> T:
    try:
        return retry_call(call, lambda error: isinstance(error, CommitFailedError) or is_transient(error))
    except (DeltaError, OSError) as error:
        raise StoreError(f"cannot {action} the catalog of {store.url}: {reason(error)}; run again") from error
