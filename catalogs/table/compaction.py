"""Keeping the Delta table quick: few large files instead of many small ones, and no files that nobody needs."""

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
"""Rows: what is read at least of a file, as its own statistics rule out the others."""
_ORDER = ["identity", "recorded_at"]
_LEAST_GRACE = timedelta(hours=1)


@dataclass(frozen=True)
class Compaction:
    """What it did.

    Attributes:
        removed, added: files of the table; the old ones stay on disk until `vacuum`, for who reads them.
        version: of the table now.
    """

    removed: int
    added: int
    version: int


def compact(store: Store, *, order: bool = False) -> Compaction:
    """Put small files together. Runs may commit and others read meanwhile; nobody waits.

    Args:
        order: write all files anew with rows that share an identity or a time side by side (Z-order), so that
            questions for these read little. Takes memory of about 20 times the table's files.

    Raises:
        StoreError: it cannot be done, or another compaction was faster three times.
    """
    table = _existing(store)
    if table is None:
        return Compaction(0, 0, 0)
    written = WriterProperties(compression="ZSTD", max_row_group_size=_ROW_GROUP)

    def once() -> dict[str, Any]:
        table.update_incremental()
        if order:
            return dict(table.optimize.z_order(_ORDER, target_size=_FILE_BYTES, writer_properties=written))
        return dict(table.optimize.compact(target_size=_FILE_BYTES, writer_properties=written))

    done = _kept_trying("compact", store, once)
    if done["numFilesRemoved"]:
        _kept_trying("write a checkpoint of", store, table.create_checkpoint)
    return Compaction(int(done["numFilesRemoved"]), int(done["numFilesAdded"]), int(table.version()))


def vacuum(store: Store, grace: timedelta, *, dry_run: bool = False) -> list[str]:
    """Delete files that no version of the table of the last `grace` needs; older versions are gone with them.

    Args:
        grace: at least an hour, so that no file is taken away from who is reading or about to commit.
        dry_run: only tell which files.

    Raises:
        SettingsError: the grace time is shorter, or no whole number of hours.
        StoreError: it cannot be done.
    """
    hours = grace / timedelta(hours=1)
    if grace < _LEAST_GRACE or hours != int(hours):
        raise SettingsError(f"a grace time is a whole number of hours, at least one; this is {hours:g} h")
    table = _existing(store)
    if table is None:
        return []
    # Named, this time is enough; Delta's own default is a week.
    return _kept_trying(
        "clean up",
        store,
        # Full: also what writers that were killed left behind.
        lambda: list(table.vacuum(int(hours), dry_run=dry_run, enforce_retention_duration=False, full=True)),
    )


def _existing(store: Store) -> DeltaTable | None:
    if store.delta() is None:
        raise SettingsError(f"{store.url} keeps its rows in the runs' own files, which need no upkeep")
    return open_table(store)


def _kept_trying(action: str, store: Store, call: Callable[[], T]) -> T:
    try:
        return retry_call(call, lambda error: isinstance(error, CommitFailedError) or is_transient(error))
    except (DeltaError, OSError) as error:
        raise StoreError(f"cannot {action} the catalog of {store.url}: {reason(error)}; run again") from error
