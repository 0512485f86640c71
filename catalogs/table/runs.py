"""Records of runs, beside their rows: request, state and progress."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import psutil

from catalogs.store.keys import run_key
from catalogs.store.listing import Entry
from catalogs.store.sealed import seal, unseal
from catalogs.store.store import Store
from catalogs.store.uris import redacted_value
from troupe.errors import SettingsError, StoreError
from troupe.process.log_context import process_name

__all__ = [
    "HEARTBEAT_SECONDS",
    "RunInfo",
    "RunState",
    "RunsPage",
    "find_run",
    "list_runs",
    "list_runs_page",
    "live_runs",
    "read_run",
    "silent_runs",
    "write_run",
]

HEARTBEAT_SECONDS = 20.0
"""Seconds between two heartbeats of a run."""
_CRASHED_AFTER = timedelta(seconds=6 * HEARTBEAT_SECONDS)
"""A run without a heartbeat for this long has crashed; this tolerates clocks that differ between machines."""
_CLOCKS = timedelta(hours=1)
"""Between the clock of the store, which dates its files, and those of the machines."""
_NAME = "run.json"
_EVER = datetime.min.replace(tzinfo=UTC)
_TIMES = ("started_at", "updated_at")
_THREADS = 16

RunState: TypeAlias = Literal["running", "completed", "cancelled", "failed", "crashed"]
"""Prefect's words: the flow run of a run is in the state of the same name."""

_VERSION = 2
_STATES_OF_VERSION_1: Mapping[str, RunState] = {
    "done": "completed",
    "failed": "completed",  # with failed jobs
    "stopped": "cancelled",
    "broken": "failed",
    "lost": "crashed",
}


@dataclass(frozen=True)
class RunInfo:
    """A run's record, as of its last heartbeat.

    Attributes:
        state: `running`; `completed`: every job ended, and `counts` has how; `cancelled`: before all jobs were done;
            `failed`: could not be carried out; `crashed`: was running, but its process is gone or its heartbeat
            stopped.
        started_at, updated_at: start and last heartbeat, UTC.
        jobs: number of jobs of the request.
        counts: finished jobs by status.
        where: host and process.
        request: parameters of the request.
        note: one line on how it ended.
    """

    run_id: str
    state: RunState
    started_at: datetime
    updated_at: datetime
    jobs: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    where: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    @property
    def live(self) -> bool:
        """Whether the run is still running, as far as is known."""
        return self.state == "running"


@dataclass(frozen=True)
class RunsPage:
    """A part of a list of runs.

    Attributes:
        runs: the runs.
        after: cursor of the next page; empty if this is the last one.
        left: number of runs that follow.
    """

    runs: list[RunInfo]
    after: str
    left: int


def write_run(store: Store, info: RunInfo) -> None:
    """Write a run's record.

    Raises:
        SettingsError: the run_id is invalid.
        StoreError: it cannot be written.
    """
    times = {name: getattr(info, name).isoformat() for name in _TIMES}
    store.replace(seal(redacted_value(asdict(info)) | times | {"version": _VERSION}), run_key(info.run_id, _NAME))


def read_run(store: Store, run_id: str) -> RunInfo:
    """Read a run's record.

    Raises:
        SettingsError: the run does not exist.
        StoreError: it cannot be read.
    """
    found = find_run(store, run_id)
    if found is None:
        raise SettingsError(f"{store.url} has no run {run_id}; {store.command('runs')} lists its runs")
    return found


def find_run(store: Store, run_id: str) -> RunInfo | None:
    """Read a run's record; None if there is no such run.

    Raises:
        SettingsError: the run_id is invalid.
        StoreError: it cannot be read.
    """
    key = run_key(run_id, _NAME)
    return _with_crash(store, _parsed(store, key)) if store.exists(key) else None


def list_runs(store: Store, limit: int | None = None) -> list[RunInfo]:
    """Return the runs of the store, the latest start first.

    Args:
        limit: maximum number of runs; records of runs that ended before these started are not read.

    Raises:
        StoreError: they cannot be read.
    """
    entries, found = _entries(store), list[RunInfo]()
    dated = all(entry.modified for entry in entries)
    limit = len(entries) if limit is None else limit
    for start, end in pairwise([0, *range(limit, len(entries), _THREADS), len(entries)]):
        # The others started before this record, the latest of theirs, was written.
        if start and dated and found[limit - 1].started_at > _written(entries[start]) + _CLOCKS:
            break
        found = _by_start([*found, *_read(store, entries[start:end])])
    return [_with_crash(store, run) for run in found[:limit]]


def live_runs(store: Store, *, doubtful: bool = False) -> list[RunInfo]:
    """Return the runs that are live, the latest start first; records without a recent heartbeat are not read.

    Args:
        doubtful: whether to return also those whose process is gone from this machine, because the run may be another's
            that has the same name.

    Raises:
        StoreError: they cannot be read.
    """
    since = datetime.now(UTC) - _CRASHED_AFTER - _CLOCKS
    entries = [entry for entry in _entries(store) if not entry.modified or _written(entry) >= since]
    recent = [run for run in _by_start(_read(store, entries)) if run.live and not _is_silent(run)]
    return recent if doubtful else [run for run in recent if _with_crash(store, run).live]


def list_runs_page(store: Store, limit: int, after: str = "") -> RunsPage:
    """Return some runs, those first whose last heartbeat is the latest; no other records are read.

    Args:
        limit: maximum number of runs.
        after: cursor of the page before; empty for the first page.

    Raises:
        StoreError: they cannot be read.
    """
    left = [entry for entry in _entries(store) if not after or _cursor(entry) < after]
    shown = left[:limit]
    found = [_with_crash(store, run) for run in _read(store, shown)]
    found.sort(key=lambda run: run.updated_at, reverse=True)  # records may be written later, such as by a copy
    return RunsPage(found, _cursor(shown[-1]) if len(left) > len(shown) else "", len(left) - len(shown))


def silent_runs(store: Store, limit: int) -> list[RunInfo]:
    """Return the runs, of those whose last heartbeat is the latest, that fell silent and are not recorded as crashed.

    Raises:
        StoreError: they cannot be read.
    """
    recorded = _read(store, _entries(store)[:limit])
    return [replace(run, state="crashed") for run in recorded if run.live and _is_silent(run)]


def _entries(store: Store) -> list[Entry]:
    """Return the files of the runs' records, the latest first."""
    return sorted((entry for entry in store.entries("runs") if _is_record(entry.key)), key=_cursor, reverse=True)


def _cursor(entry: Entry) -> str:
    """Return a moment and a key, which are compared as text."""
    return f"{_written(entry).isoformat()} {entry.key}"


def _written(entry: Entry) -> datetime:
    return (entry.modified or _EVER).astimezone(UTC)


def _read(store: Store, entries: Iterable[Entry]) -> list[RunInfo]:
    """Return records as they are; those of runs that crashed may say that they are running."""
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="runs") as pool:
        return list(pool.map(lambda entry: _parsed(store, entry.key), entries))


def _by_start(runs: Iterable[RunInfo]) -> list[RunInfo]:
    return sorted(runs, key=lambda run: (run.started_at, run.run_id), reverse=True)


def _is_record(key: str) -> bool:
    return key.count("/") == 2 and key.endswith(f"/{_NAME}")


def _parsed(store: Store, key: str) -> RunInfo:
    try:
        values = unseal(store.read(key))
        times = {name: datetime.fromisoformat(values[name]) for name in _TIMES}
        known = {name: value for name, value in values.items() if name in RunInfo.__dataclass_fields__}
        if values.get("version", 1) == 1:
            known["state"] = _STATES_OF_VERSION_1.get(known["state"], known["state"])
        return RunInfo(**redacted_value(known) | times)
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{store.uri(key)} is damaged: {error}; remove it") from error


def _with_crash(store: Store, run: RunInfo) -> RunInfo:
    """Return the run as it is now, which its record does not say if its process was killed."""
    if run.live and not _is_silent(run) and _is_gone(run):
        run = _parsed(store, run_key(run.run_id, _NAME))  # the process may have ended as it should since it was read
        if run.live and _is_gone(run):
            return replace(run, state="crashed", note=f"the process {run.where} is gone")
    return replace(run, state="crashed") if run.live and _is_silent(run) else run


def _is_silent(run: RunInfo) -> bool:
    return datetime.now(UTC) - run.updated_at > _CRASHED_AFTER


def _is_gone(run: RunInfo) -> bool:
    """Return whether the run's process was one of this machine that is gone."""
    host, _, pid = run.where.rpartition(":")
    if host != process_name().rpartition(":")[0] or not pid.isdecimal():
        return False
    try:
        process = psutil.Process(int(pid))
        reused = process.create_time() > run.updated_at.timestamp()
        return reused or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
