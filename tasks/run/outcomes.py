"""How a run's jobs end: each outcome becomes a row that is committed, counted and reported."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

from catalogs.store.store import Store
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.schema import WITH_VIDEO, Status
from tasks.quality.thresholds import Thresholds
from tasks.run.heartbeat import Heartbeat
from tasks.run.listener import Listener
from tasks.run.planning import PlannedJob
from tasks.run.result_row import Outcome, judged, row_of
from tasks.steps.specs import Done, FilmDone, PictureDone
from troupe.errors import Cancelled, InputError, TroupeError

__all__ = ["STOPPED", "Outcomes"]

STOPPED = "the run was stopped before this job was done; run again to resume"
"""Message of the jobs of a stopped run that were not done."""


class Outcomes:
    """Commits, counts and reports the outcomes of a run's jobs. Thread-safe.

    Args:
        store: store of the run.
        run_id: name of the run.
        weights: fingerprint of the weights.
        thresholds: quality that renders must have.
        rows: buffer that commits the rows.
        heartbeat: counts the jobs that have ended.
        listener: receives every row.
        committed: statuses of the jobs that have a row from before the run was resumed, by job_id.

    Attributes:
        counts: number of jobs by status.
        pictures, films, flagged, uncovered, frames, evaluations, files_put: see `Summary`.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        weights: str,
        thresholds: Thresholds,
        rows: RowBuffer,
        heartbeat: Heartbeat,
        listener: Listener,
        committed: Mapping[str, str],
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.pictures = self.films = self.flagged = self.uncovered = 0
        self.frames = self.evaluations = self.files_put = 0
        self._store, self._run_id, self._weights = store, run_id, weights
        self._thresholds, self._rows, self._heartbeat, self._listener = thresholds, rows, heartbeat, listener
        self._committed = committed
        self._watched: set[str] = set()
        self._unclaimed: dict[str, Future[Any]] = {}
        self._lock = threading.Lock()

    def watch(self, key: str, future: Future[Any]) -> Future[Any]:
        """Count what a work item does; once per key, however many jobs need it."""
        with self._lock:
            if key in self._watched:
                return future
            self._watched.add(key)
            self._unclaimed[key] = future
        future.add_done_callback(self._count)
        return future

    def forget(self, key: str) -> None:
        """Drop a work item that no job needs any more."""
        with self._lock:
            self._watched.discard(key)
            self._unclaimed.pop(key, None)

    def without_work(self, planned: PlannedJob, facts: Mapping[str, Any] | None, started: datetime) -> None:
        """Commit the row of a job that cannot be done, or whose film exists already with these facts."""
        if facts is None:
            status: Status = "cancelled" if isinstance(planned.error, Cancelled) else "failed"
            self._commit(planned, Outcome(status, started, error=planned.error))
            return
        # A run that was killed between a render and its row finds its own work again.
        own = (facts.get("run_id"), facts.get("job_id")) == (self._run_id, planned.job.job_id)
        stages = facts.get("stage_seconds") if own else None
        self._commit(planned, Outcome("done" if own else "reused", started, facts=facts, stages=stages))

    def ended(
        self,
        jobs: Sequence[PlannedJob],
        future: Future[FilmDone],
        keys: Iterable[str],
        *,
        started: datetime,
        attempts: int,
        stopped: bool,
    ) -> None:
        """Commit the rows of the jobs whose film has ended, with or without an error.

        Args:
            jobs: jobs with this film; the work is counted in the row of the first.
            future: ended future of the film.
            keys: keys of the film's work item and of those that it needed.
            started: when the jobs' shard started.
            attempts: how often a worker was given the picture or the film.
            stopped: whether the run is being stopped.
        """
        error = future.exception()
        if error is not None and not isinstance(error, TroupeError):
            raise error
        # A signal to our process group ends ffmpeg's processes, too.
        if isinstance(error, Cancelled) or (stopped and error is not None and not isinstance(error, InputError)):
            error = Cancelled(STOPPED)
        for number, planned in enumerate(jobs):
            if error is not None:
                status: Status = "cancelled" if isinstance(error, Cancelled) else "failed"
                self._commit(planned, Outcome(status, started, error=error, attempts=attempts))
                continue
            done, parts = future.result(), self._claim(keys)
            outcome = Outcome(
                "reused" if done.reused or number else "done",
                started,
                facts=done.facts,
                stages={} if number else _stage_seconds(parts, started),
                attempts=attempts,
                notes=tuple(note for part in (*parts, done) for note in part.notes),
            )
            self._commit(planned, outcome)

    def _count(self, future: Future[Any]) -> None:
        if future.exception() is not None:
            return
        done: Done = future.result()
        with self._lock:
            self.files_put += done.puts
            if isinstance(done, PictureDone):
                self.evaluations += done.evaluations
                self.pictures += not done.reused
                self.frames += 0 if done.reused else done.frames
            elif isinstance(done, FilmDone):
                self.films += not done.reused

    def _claim(self, keys: Iterable[str]) -> list[Done]:
        """Return the results of a film and of what it needed; that of a portrait, clip or picture to one job only."""
        with self._lock:
            claimed = [self._unclaimed.pop(key, None) for key in keys]
        return [future.result() for future in claimed if future is not None]

    def _commit(self, planned: PlannedJob, outcome: Outcome) -> None:
        outcome = judged(outcome, self._thresholds)
        row = row_of(planned, outcome, run_id=self._run_id, weights=self._weights, store=self._store)
        if self._committed.get(planned.job.job_id) not in WITH_VIDEO:
            # A stopped run may have thousands of jobs that did not start, and has seconds to commit their rows.
            self._rows.append(row, may_wait=outcome.status == "cancelled")
        with self._lock:
            self.counts[outcome.status] += 1
            self.flagged += bool(row["flagged"])
            self.uncovered += planned.uncovered
        self._heartbeat.count(outcome.status)
        self._listener.finished(row)


def _stage_seconds(parts: Iterable[Done], started: datetime) -> dict[str, float]:
    """Return the seconds by stage of a job's parts; `queue` is the rest of the time since the start."""
    passed = (datetime.now(UTC) - started).total_seconds()
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part.seconds)
    del total["queue"]  # a part counts only the time in which it gave way to others
    return {**total, "queue": max(0.0, passed - total.total())}
