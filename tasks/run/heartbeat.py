"""The heartbeat of a run: its record in the store, updated while it runs."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from catalogs.store.store import Store
from catalogs.table.runs import HEARTBEAT_SECONDS, RunInfo, RunState, find_run, write_run
from troupe.errors import Cancelled, SettingsError, StoreError, TroupeError
from troupe.process.log_context import process_name

__all__ = ["Heartbeat", "refuse_living"]

PROGRESS_SECONDS = 1.5
"""Least seconds between two records of a run whose jobs end."""

_log = logging.getLogger(__name__)


class Heartbeat:
    """Writes to the store that a run is alive, how far it is and how it ended. A context manager.

    A store that cannot be written is only logged.

    Args:
        store: store of the run.
        run_id: name of the run.
        request: parameters of the run.
    """

    def __init__(self, store: Store, run_id: str, request: Mapping[str, Any]) -> None:
        now = datetime.now(UTC)
        where = process_name()
        self._store = store
        self._info = RunInfo(run_id, "running", now, now, where=where, request=request)
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._counted = False  # whether jobs ended since the last record
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat-{run_id}", daemon=True)

    def __enter__(self) -> Self:
        """Refuse to start if another process carries out this run; see `refuse_living`."""
        refuse_living(self._store, self._info.run_id)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.started:
            return
        if error is not None:
            self.fail(error)
        self._closing.set()
        self._thread.join()
        self._write()

    def start(self, jobs: int, ended: Iterable[str] = ()) -> None:
        """Start writing, once the run_id is known to be this run's.

        Args:
            jobs: number of jobs.
            ended: statuses of jobs that ended before and are not done again.

        Raises:
            SettingsError, StoreError: as `refuse_living`; another process may have been quicker since.
        """
        refuse_living(self._store, self._info.run_id)
        with self._lock:
            self._counts.update(ended)
            self._info = replace(self._info, jobs=jobs)
        self._thread.start()

    def count(self, status: str) -> None:
        """Count a job that has ended."""
        with self._lock:
            self._counts[status] += 1
            self._counted = True

    def finish(self, note: str) -> None:
        """Record that the run has its manifest."""
        state: RunState = "cancelled" if self._counts["cancelled"] else "completed"
        with self._lock:
            self._info = replace(self._info, state=state, note=note)

    def fail(self, error: BaseException) -> None:
        """Record that the run ended without a manifest."""
        if self._info.live:
            with self._lock:
                state: RunState = "cancelled" if isinstance(error, Cancelled | KeyboardInterrupt) else "failed"
                by_key = "ended by a second Ctrl-C" if isinstance(error, KeyboardInterrupt) else type(error).__name__
                note = (error.line if isinstance(error, TroupeError) else str(error)) or by_key
                self._info = replace(self._info, state=state, note=note)

    @property
    def started(self) -> bool:
        """Whether the run has a record."""
        return self._thread.ident is not None

    @property
    def state(self) -> RunState:
        """The run's state."""
        return self._info.state

    @property
    def counts(self) -> dict[str, int]:
        """Number of jobs that have ended, by status."""
        with self._lock:
            return {status: count for status, count in self._counts.items() if count}

    def _beat(self) -> None:
        self._write()
        written = time.monotonic()
        while not self._closing.wait(PROGRESS_SECONDS):
            if self._counted or time.monotonic() - written >= HEARTBEAT_SECONDS - PROGRESS_SECONDS / 2:
                self._write()
                written = time.monotonic()

    def _write(self) -> None:
        with self._lock:
            counts = {status: count for status, count in self._counts.items() if count}
            self._counted = False
            info = self._info = replace(self._info, counts=counts, updated_at=datetime.now(UTC))
        try:
            write_run(self._store, info)
        except StoreError as error:
            _log.warning("cannot write the heartbeat of run %s: %s", info.run_id, error)


def refuse_living(store: Store, run_id: str) -> None:
    """Raise if another process carries out a run.

    Raises:
        SettingsError: one does, as far as is known.
        StoreError: the run's record cannot be read.
    """
    other = find_run(store, run_id)
    if other is not None and other.live and other.where != process_name():
        raise SettingsError(
            f"run {run_id} is still running on {other.where} (last heartbeat at {other.updated_at:%H:%M:%S} UTC); wait "
            "until it ends, stop it, or choose another run_id. If that machine is gone, the run counts as crashed two "
            "minutes after its last heartbeat"
        )
