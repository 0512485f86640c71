"""Complete rows of given jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow.compute as pc

from catalogs.query.job_index import JobIndex
from catalogs.query.jobs import plain_rows
from catalogs.table.redaction import redacted_table
from catalogs.table.snapshot import latest_rows

__all__ = ["find_jobs"]


def find_jobs(index: JobIndex, jobs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return the latest row of each job as JSON values, in the order of `jobs`, without those that do not exist.

    Args:
        index: the catalog's jobs.
        jobs: run_id and job_id of each job.

    Raises:
        StoreError: the catalog cannot be read.
    """
    if not jobs:
        return []
    runs, names = sorted({run for run, _ in jobs}), sorted({name for _, name in jobs})
    run, job = pc.field("run_id"), pc.field("job_id")
    # The ranges skip files by their statistics; the sets filter rows.
    wanted = (run >= runs[0]) & (run <= runs[-1]) & (job >= names[0]) & (job <= names[-1])
    rows = latest_rows(index.rows(wanted & run.isin(runs) & job.isin(names)))
    found = {(row["run_id"], row["job_id"]): row for row in plain_rows(redacted_table(rows))}
    return [found[key] for key in jobs if key in found]
