"""catalogs.query.lookup: complete rows of given jobs, in every kind of store."""

from __future__ import annotations

from catalogs.query.job_index import JobIndex
from catalogs.query.lookup import find_jobs
from catalogs.store.store import Store


def test_the_latest_row_of_each_job_in_the_order_that_was_asked_for(two_runs: Store) -> None:
    index = JobIndex(two_runs)
    jobs = [("r2", "c"), ("r1", "b"), ("r1", "no such"), ("no such", "a"), ("r1", "a")]
    found = find_jobs(index, jobs)
    assert [(row["run_id"], row["job_id"], row["status"]) for row in found] == [
        ("r2", "c", "done"),
        ("r1", "b", "done"),
        ("r1", "a", "done"),
    ]
    assert find_jobs(index, []) == []
