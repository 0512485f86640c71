"""Complete rows of given jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow.compute as pc

from catalogs.query.jobs import plain_rows
from catalogs.store.store import Store
from catalogs.table.redaction import redacted_table
from catalogs.table.snapshot import latest_rows, snapshot

__all__ = ["find_jobs"]


def find_jobs(store: Store, jobs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return the latest row of each job as JSON values, in the order of `jobs`, without those that do not exist.

    Args:
        store: store of the catalog.
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
    only_run = runs[0] if len(runs) == 1 and store.delta() is None else None
    rows = latest_rows(snapshot(store, only_run).read(wanted & run.isin(runs) & job.isin(names)))
    found = {(row["run_id"], row["job_id"]): row for row in plain_rows(redacted_table(rows))}
    return [found[key] for key in jobs if key in found]
