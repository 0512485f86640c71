"""Attempts at a film: films that were rejected, and those that are to replace them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalogs.query.jobs import list_jobs
from catalogs.requests.jobs_file import read_request
from catalogs.review.columns import REVIEW_COLUMNS
from catalogs.store.store import Store
from catalogs.table.runs import live_runs
from catalogs.table.schema import WITH_VIDEO
from troupe.errors import TroupeError

__all__ = ["ATTEMPT_COLUMNS", "attempts", "rejected_films"]

ATTEMPT_COLUMNS = (
    *("run_id", "job_id", "status", "render_key", "replaces", "preset", "seed", "language", "recorded_at"),
    *REVIEW_COLUMNS,
)
"""Columns of an attempt."""


def rejected_films(store: Store, run: str | None = None) -> list[dict[str, Any]]:
    """Return a row for each rejected film that nothing replaces yet, with `ATTEMPT_COLUMNS`, the newest first.

    A film is replaced once there is another one that was made for that; one whose job failed does not count, and one
    that a live run is about to make does.

    Args:
        run: only films of this run.

    Raises:
        StoreError: the catalog or the decisions cannot be read.
    """
    rejected = list_jobs(store, review="rejected", run=run, columns=ATTEMPT_COLUMNS).to_pylist()
    if not rejected:
        return []
    links = list_jobs(store, columns=["status", "replaces"]).to_pylist()
    replaced = {link["replaces"] for link in links if link["status"] in WITH_VIDEO}
    for live in live_runs(store):
        replaced |= {job.replaces for job in _jobs(store, live.run_id)}
    return list({film["render_key"]: film for film in rejected if film["render_key"] not in replaced}.values())


def attempts(store: Store, render_key: str) -> list[dict[str, Any]]:
    """Return the rows of a film, of those that it replaces and of those that replace it, the earliest first.

    Args:
        render_key: key of any of them.

    Raises:
        StoreError: the catalog or the decisions cannot be read.
    """
    links = list_jobs(store, columns=["render_key", "replaces"])
    near: dict[str, set[str]] = defaultdict(set)
    for link in links.filter(pc.and_(pc.is_valid(links["replaces"]), pc.is_valid(links["render_key"]))).to_pylist():
        near[link["render_key"]].add(link["replaces"])
        near[link["replaces"]].add(link["render_key"])
    family, left = {render_key}, [render_key]
    while left:
        found = near[left.pop()] - family
        family |= found
        left += found
    if len(family) == 1:
        return []
    rows = list_jobs(store, columns=ATTEMPT_COLUMNS)
    return rows.filter(pc.is_in(rows["render_key"], pa.array(sorted(family)))).sort_by("recorded_at").to_pylist()


def _jobs(store: Store, run_id: str) -> list[Any]:
    """Return the jobs of a run; none if it has not written its request yet."""
    try:
        return read_request(store, run_id)
    except TroupeError:
        return []
