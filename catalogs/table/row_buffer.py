"""Rows of a run on their way into the catalog."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any

from catalogs.store.store import Store
from catalogs.table.append import commits_to
from catalogs.table.schema import Row, table_of
from troupe.errors import StoreError

__all__ = ["RowBuffer"]

_LOG = logging.getLogger(__name__)
_MANY = 2000
"""Rows of a batch in no hurry; they are some kB each in memory."""


class RowBuffer:
    """Takes a run's rows as its jobs end and commits them in batches: a crash costs the last batch at most.

    A context manager, safe to use from threads. `append` returns after the commit when its row fills a batch, so
    that of N rows appended at most `every_rows - 1` are not yet committed, and none for longer than `every_seconds`
    while the store works.

        with RowBuffer(store, run_id) as ledger:
            ledger.append(make_row(...))

    Args:
        store: whose catalog it is.
        run_id: of the run.
        every_rows: rows that make a batch.
        every_seconds: how long a row may wait.

    Raises:
        SettingsError: the run_id cannot be used.
    """

    def __init__(self, store: Store, run_id: str, every_rows: int = 100, every_seconds: float = 30.0) -> None:
        self._commits = commits_to(store, run_id)
        self._every_rows, self._every_seconds = every_rows, every_seconds
        self._pending: list[Row] = []
        self._tried = 0  # of the pending rows, how many were in a batch that failed
        self._oldest = 0.0  # of the pending rows, on the monotonic clock
        self._recorded = datetime.min.replace(tzinfo=UTC)
        self._rows = threading.Lock()  # of the fields above
        self._commit = threading.Lock()  # held while committing: batches go in order
        self._closing = threading.Event()
        self._timer = threading.Thread(target=self._tick, name=f"ledger-{run_id}", daemon=True)

    def __enter__(self) -> RowBuffer:
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
            # What ended the run stays what is raised; that rows are lost has to be said, too.
            error.add_note(f"{len(self.pending)} rows of the run are not in the catalog: {failure}")
            _LOG.error("%d rows of the run are not in the catalog: %s", len(self.pending), failure)

    @property
    def pending(self) -> tuple[Row, ...]:
        """Rows that are not committed yet."""
        with self._rows:
            return tuple(self._pending)

    def append(self, row: Mapping[str, Any], *, may_wait: bool = False) -> None:
        """Take a row, as `make_row` gives it; commit if it fills a batch.

        Args:
            may_wait: losing it would be no loss: a batch of such rows is larger, so that thousands take a moment.

        Raises:
            StoreError: the batch could not be committed. The row is kept and committed with a later batch.
        """
        with self._rows:
            # Strictly later than the row before it, whatever the clock does: the last one of a job counts.
            self._recorded = max(datetime.now(UTC), self._recorded + timedelta(microseconds=1))
            if not self._pending:
                self._oldest = time.monotonic()
            self._pending.append({**row, "recorded_at": self._recorded})
            enough = max(self._every_rows, _MANY) if may_wait else self._every_rows
            full = len(self._pending) >= enough
        if full:
            self.commit(at_least=self._every_rows)

    def commit(self, at_least: int = 1) -> None:
        """Commit the pending rows now, if there are that many.

        Raises:
            StoreError: they could not be committed and are kept.
        """
        with self._commit:
            while True:
                with self._rows:
                    # A batch that failed goes again as it was: it may have been committed without our knowing, and
                    # is recognised by its number.
                    size = self._tried or len(self._pending)
                    if not self._tried and size < at_least:
                        return
                    batch = self._pending[:size]
                self._tried = size
                self._commits.add(table_of(batch))
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
                _LOG.warning("%s; tried again in %g s", failure, self._every_seconds)
