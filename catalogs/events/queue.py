"""The queue of events: the catalog itself.

Rows of jobs, decisions and entries of the audit log are only ever added, in an order that stays. So nothing is written
to queue an event, and none is lost with a killed process: an endpoint has a cursor, its place in these logs, which is
moved after what lies before it was delivered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from catalogs.events.delta_log import DeltaLog, LogGapError
from catalogs.events.event import JOB_COLUMNS, Event, audit_event, decision_event, job_event
from catalogs.retention.forget import ForgetList
from catalogs.review.log import DECISIONS, DECISIONS_FOLDER, decisions_table, open_log
from catalogs.store.store import Store
from catalogs.table.audit import last_entry, read_entry
from catalogs.table.redaction import redacted_table
from catalogs.table.runs import list_runs
from catalogs.table.schema import conform
from catalogs.table.snapshot import snapshot
from troupe.errors import SettingsError

__all__ = ["Batch", "Cursor", "Queue"]

_MARGIN = timedelta(minutes=10)
"""By which the clocks of machines may differ, and a heartbeat may be late."""
_EVER = datetime.min.replace(tzinfo=UTC)
_ROWS = 256
"""Rows that are events in memory at once, while their commit is read."""


@dataclass(frozen=True)
class Cursor:
    """A place in the logs: everything up to it was delivered.

    Attributes:
        rows: version of the catalog's table; -1 before the first.
        decisions: version of the table of decisions; -1 before the first.
        audit: number of an entry of the audit log; 0 before the first.
        at: when the rows at that version were committed, UTC: the rows after it were committed later.
    """

    rows: int = -1
    decisions: int = -1
    audit: int = 0
    at: datetime = _EVER

    def after(self, batch: Batch) -> Cursor:
        """Return the cursor after a batch."""
        values: dict[str, Any] = {batch.log: batch.place}
        if batch.log == "rows":
            values["at"] = batch.at
        return replace(self, **values)


@dataclass(frozen=True)
class Batch:
    """Events that were recorded together.

    Attributes:
        log: `rows`, `decisions` or `audit`.
        place: the cursor's place in it once all of them are delivered.
        at: when the batch was committed, UTC.
        events: the events, read as they are needed.
    """

    log: Literal["rows", "decisions", "audit"]
    place: int
    at: datetime
    events: Iterator[Event]


class Queue:
    """What happened in a store, in the order in which it was recorded.

    Raises:
        SettingsError: the store has no Delta table, whose log is the queue.
    """

    def __init__(self, store: Store) -> None:
        if store.delta() is None:
            raise SettingsError(f"{store.url} has no Delta table, which events are read from; use a folder or a bucket")
        self._store = store
        self._rows, self._decisions = DeltaLog(store, "catalog"), DeltaLog(store, DECISIONS_FOLDER)

    def head(self) -> Cursor:
        """Return the cursor after everything that was recorded so far.

        Raises:
            StoreError: the store cannot be read.
        """
        now = datetime.now(UTC)
        return Cursor(self._rows.head(), self._decisions.head(), last_entry(self._store), now)

    def after(self, cursor: Cursor) -> Iterator[Batch]:
        """Yield what was recorded after a cursor, until now: the rows of a run before its end.

        Events of people who were forgotten meanwhile are left out, but for that their jobs were forgotten.

        Raises:
            StoreError: the store cannot be read.
        """
        entries = last_entry(self._store, cursor.audit)
        people = _People(self._store)
        try:
            for commit in self._rows.after(cursor.rows, JOB_COLUMNS):
                batch = Batch("rows", commit.version, commit.at, self._events(commit.rows, people))
                yield batch
                cursor = cursor.after(batch)
        except LogGapError:
            now, head = datetime.now(UTC), self._rows.head()
            yield Batch("rows", head, now, self._events([self._recorded_since(cursor)], people))
        try:
            for commit in self._decisions.after(cursor.decisions, DECISIONS.names):
                yield Batch("decisions", commit.version, commit.at, self._decided(commit.rows))
                cursor = replace(cursor, decisions=commit.version)
        except LogGapError:
            now, head = datetime.now(UTC), self._decisions.head()
            _, everything = open_log(self._store).read_new()
            yield Batch("decisions", head, now, self._decided([decisions_table(everything)]))
        for number in range(cursor.audit + 1, entries + 1):
            entry = read_entry(self._store, number)
            event = audit_event(self._store, entry)
            yield Batch("audit", number, entry.at, iter(() if event is None else (event,)))

    def _events(self, tables: Iterable[pa.Table], people: _People) -> Iterator[Event]:
        for table in tables:
            for start in range(0, len(table), _ROWS):
                part = redacted_table(conform(table.slice(start, _ROWS)).select(JOB_COLUMNS))
                for row in part.to_pylist():
                    if row["status"] == "forgotten" or not people.forgotten(row):
                        yield job_event(self._store, row)

    def _decided(self, tables: Iterable[pa.Table]) -> Iterator[Event]:
        for table in tables:
            rows = table.to_pylist()
            yield from (decision_event(self._store, dict.fromkeys(DECISIONS.names) | row) for row in rows)

    def _recorded_since(self, cursor: Cursor) -> pa.Table:
        """Return all rows that may have been committed after a cursor, and some more.

        A row is committed some time after it was recorded, but while its run is live.
        """
        since = max(cursor.at, _EVER + _MARGIN) - _MARGIN
        runs = [run.run_id for run in list_runs(self._store) if run.updated_at >= since]
        recorded = pc.field("recorded_at") >= pa.scalar(since, pa.timestamp("us", "UTC"))
        in_runs = pc.field("run_id").isin(pa.array(runs, pa.string()))
        return snapshot(self._store).read(recorded | in_runs, list(JOB_COLUMNS))


class _People:
    """The forget list, read where a row needs it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def forgotten(self, row: dict[str, Any]) -> bool:
        """Return whether the person of a row withdrew consent."""
        return self._list.refusal(row["identity"] or "", row["portrait_sha256"] or "") is not None

    @cached_property
    def _list(self) -> ForgetList:
        return ForgetList(self._store)
