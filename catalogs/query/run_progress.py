"""How far a run is, how fast it is, and what failed: its record, and the rows that it has committed so far."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalogs.query.job_index import JobIndex
from catalogs.table.redaction import redacted_table
from catalogs.table.runs import RunInfo

__all__ = ["RunProgress", "run_progress"]

_WINDOW = timedelta(minutes=10)
"""Time before the last job's end over which the rate is measured."""
_FAILURES = 50
"""Failures that are shown."""
_COLUMNS = ("error_kind", "error", "finished_at", "frames", "attempts", "seconds_denoise")


@dataclass(frozen=True)
class RunProgress:
    """Progress of a run.

    Attributes:
        run: its record.
        waiting: jobs that have not ended.
        jobs_per_minute: jobs that ended, over the last minutes in which any did; None if that is not known.
        frames_per_second: frames that were rendered in that time; None if that is not known.
        seconds_left: time until all jobs have ended at that rate; None for runs that are not live.
        failed: number of failed jobs by kind of error, the most frequent first.
        failures: job_id, error_kind, error and finished_at of the latest failed jobs, the latest first.
    """

    run: RunInfo
    waiting: int
    jobs_per_minute: float | None
    frames_per_second: float | None
    seconds_left: float | None
    failed: dict[str, int]
    failures: list[dict[str, Any]]


def run_progress(index: JobIndex, run: RunInfo) -> RunProgress:
    """Return the progress of a run. Its rows follow the counts of its record by up to half a minute.

    Raises:
        StoreError: the catalog cannot be read.
    """
    jobs = index.jobs(_COLUMNS)
    rows = jobs.filter(pc.field("run_id") == run.run_id)
    waiting = max(run.jobs - sum(run.counts.values()), 0)
    rate, frames = _rates(rows, run.started_at)
    if rate is None and (ended := run.counts.get("done", 0) + run.counts.get("failed", 0)):
        rate = ended / max((run.updated_at - run.started_at).total_seconds(), 1.0)
    failed = rows.filter(pc.field("status") == "failed").sort_by([("recorded_at", "descending")])
    kinds = failed.group_by("error_kind").aggregate([([], "count_all")]).sort_by([("count_all", "descending")])
    shown = redacted_table(failed.select(["job_id", "error_kind", "error", "finished_at"]).slice(0, _FAILURES))
    return RunProgress(
        run,
        waiting,
        None if rate is None else rate * 60,
        frames,
        waiting / rate if rate and run.live else None,
        {str(kind["error_kind"]): kind["count_all"] for kind in kinds.to_pylist()},
        shown.to_pylist(),
    )


def _rates(rows: pa.Table, started: datetime) -> tuple[float | None, float | None]:
    """Return jobs and rendered frames per second."""
    # Reused and cancelled jobs say nothing of the time that others take.
    worked = rows.filter(pc.field("status").isin(["done", "failed"]))
    last = pc.max(worked.column("finished_at")).as_py()
    if last is None or last <= started:
        return None, None
    since = max(started, last - _WINDOW)
    worked = worked.filter(pc.field("finished_at") > pa.scalar(since, pa.timestamp("us", "UTC")))
    seconds = max((last - since).total_seconds(), 1.0)
    # As the terminal counts them: `attempts` is empty for films that existed before, and nothing is denoised for films
    # whose picture exists.
    denoised: Any = pc.field("seconds_denoise") > 0
    rendered = worked.filter(pc.field("attempts").is_valid() & denoised)
    frames = pc.sum(rendered.column("frames")).as_py()
    return len(worked) / seconds, frames / seconds if frames else None
