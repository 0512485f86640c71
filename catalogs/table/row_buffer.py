"""Buffer of a run's rows on their way into the catalog."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any

import pyarrow.compute as pc

from catalogs.store.store import Store
from catalogs.table.append import open_appender
from catalogs.table.schema import Row, table_of
from catalogs.table.snapshot import snapshot
from troupe.errors import StoreError

__all__ = ["RowBuffer"]

_LOG = logging.getLogger(__name__)
_DEFERRED_ROWS = 2000
"""Rows per batch of rows that may wait; each takes some kB of memory."""


class RowBuffer:
    """Collects a run's rows as its jobs end and commits them in batches: a crash loses the last batch at most.

    A thread-safe context manager. When a row fills a batch, `append` returns after the commit, so at most
    `every_rows - 1` rows are uncommitted, and none for longer than `every_seconds` while the store is reachable.

        with RowBuffer(store, run_id) as buffer:
            buffer.append(make_row(...))

    Args:
        store: store of the catalog.
        run_id: id of the run.
        every_rows: rows per batch.
        every_seconds: longest time in seconds that a row waits.

    Rows of a run are ordered by `recorded_at`, which therefore continues from the run's earlier rows even where another
    machine's clock was fast.

    Raises:
        SettingsError: the run_id is invalid.
        StoreError: on entering: the run's earlier rows cannot be read.
    """

    def __init__(self, store: Store, run_id: str, every_rows: int = 100, every_seconds: float = 30.0) -> None:
        self._appender = open_appender(store, run_id)
        self._store, self._run_id = store, run_id
        self._every_rows, self._every_seconds = every_rows, every_seconds
        self._pending: list[Row] = []
        self._tried = 0  # how many of the pending rows were in a batch that failed
        self._oldest = 0.0  # arrival of the oldest pending row, on the monotonic clock
        self._recorded = datetime.min.replace(tzinfo=UTC)
        self._rows = threading.Lock()  # guards the fields above
        self._commit = threading.Lock()  # held while committing, so that batches stay in order
        self._closing = threading.Event()
        self._timer = threading.Thread(target=self._tick, name=f"row-buffer-{run_id}", daemon=True)

    def __enter__(self) -> RowBuffer:
        last = pc.max(snapshot(self._store, self._run_id).read(columns=["recorded_at"]).column("recorded_at")).as_py()
        self._recorded = last or self._recorded
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._timer.join()
        try:
            self.commit()
        except StoreError as failure:
            if error is None:
                raise
            # The error that ended the run stays the one raised; the lost rows are reported beside it.
            error.add_note(f"{len(self.pending)} rows of the run are not in the catalog: {failure}")
            _LOG.error("%d rows of the run are not in the catalog: %s", len(self.pending), failure)

    @property
    def pending(self) -> tuple[Row, ...]:
        """Rows that are not yet committed."""
        with self._rows:
            return tuple(self._pending)

    def append(self, row: Mapping[str, Any], *, may_wait: bool = False) -> None:
        """Append a row made by `make_row`; commit if it fills a batch.

        Args:
            may_wait: whether losing the row would do no harm. Batches of such rows are larger, so that thousands are
                committed quickly.

        Raises:
            StoreError: the batch could not be committed. The row is kept and committed with a later batch.
        """
        with self._rows:
            # Strictly increasing, whatever the clock does: a job's latest row is the one that counts.
            self._recorded = max(datetime.now(UTC), self._recorded + timedelta(microseconds=1))
            if not self._pending:
                self._oldest = time.monotonic()
            self._pending.append({**row, "recorded_at": self._recorded})
            batch_rows = max(self._every_rows, _DEFERRED_ROWS) if may_wait else self._every_rows
            full = len(self._pending) >= batch_rows
        if full:
            self.commit(at_least=self._every_rows)

    def commit(self, at_least: int = 1) -> None:
        """Commit the pending rows now, if there are at least `at_least`.

        Raises:
            StoreError: the commit failed; the rows are kept.
        """
        with self._commit:
            while True:
                with self._rows:
                    # A failed batch is retried unchanged: it may have been committed nevertheless, which its number
                    # reveals.
                    size = self._tried or len(self._pending)
                    if not self._tried and size < at_least:
                        return
                    batch = self._pending[:size]
                self._tried = size
                self._appender.add(table_of(batch))
                self._tried = 0
                with self._rows:
                    del self._pending[:size]
                    self._oldest = time.monotonic()

    def _tick(self) -> None:
        wait = self._every_seconds
        while not self._closing.wait(wait):
            with self._rows:
                left = self._oldest + self._every_seconds - time.monotonic() if self._pending else self._every_seconds
            wait = max(left, 0.0)
            if left > 0:
                continue
            wait = self._every_seconds
            try:
                self.commit()
            except StoreError as failure:
                _LOG.warning("%s; retrying in %g s", failure, self._every_seconds)
