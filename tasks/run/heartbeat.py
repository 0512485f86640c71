"""A run's own record in the store, kept up to date while it lives."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from catalogs.store.store import Store
from catalogs.table.runs import BEAT, RunInfo, write_run
from troupe.errors import Cancelled, StoreError

__all__ = ["Record"]

_log = logging.getLogger(__name__)


class Record:
    """Says in the store that the run lives, how far it is and how it ended. A context manager; trouble is only logged.

    Args:
        store: of the run.
        run_id: of the run.
        request: its parameters.
    """

    def __init__(self, store: Store, run_id: str, request: Mapping[str, Any]) -> None:
        now = datetime.now(UTC)
        where = f"{socket.gethostname()}:{os.getpid()}"
        self._store = store
        self._info = RunInfo(run_id, "running", now, now, where=where, request=request)
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"record-{run_id}", daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread.ident is None:
            return
        if error is not None:
            self.broken(error)
        self._closing.set()
        self._thread.join()
        self._write()

    def begin(self, jobs: int, ended: Iterable[str] = ()) -> None:
        """The run_id is ours: tell of the run from now on.

        Args:
            jobs: how many it has.
            ended: the status of those that ended before and are not done again.
        """
        with self._lock:
            self._counts.update(ended)
            self._info = replace(self._info, jobs=jobs)
        self._thread.start()

    def count(self, status: str) -> None:
        """A job ended."""
        with self._lock:
            self._counts[status] += 1

    def end(self, note: str) -> None:
        """The run is over."""
        counts = self._counts
        state = "stopped" if counts["cancelled"] else "failed" if counts["failed"] else "done"
        with self._lock:
            self._info = replace(self._info, state=state, note=note)

    def broken(self, error: BaseException) -> None:
        """The run ended without a manifest."""
        if self._info.live:
            with self._lock:
                state = "stopped" if isinstance(error, Cancelled) else "broken"
                note = str(error) or type(error).__name__
                self._info = replace(self._info, state=state, note=note)

    def _beat(self) -> None:
        self._write()
        while not self._closing.wait(BEAT):
            self._write()

    def _write(self) -> None:
        with self._lock:
            counts = {status: count for status, count in self._counts.items() if count}
            info = self._info = replace(self._info, counts=counts, updated_at=datetime.now(UTC))
        try:
            write_run(self._store, info)
        except StoreError as error:
            _log.warning("the run's own record could not be written: %s", error)
