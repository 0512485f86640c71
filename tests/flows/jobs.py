"""Run jobs given as rows, in this process, and read the manifest."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq

from flows.local import animate_locally
from tasks.run.request import Request
from tasks.run.summary import Summary

RunJobs = Callable[..., Summary]

SKETCH = {"preset": "sketch"}
JOB = {"portrait": "portraits/ruby.png", "driving": "clips/hello.mp4"}


def write_jobs(path: Path, rows: tuple[Mapping[str, Any], ...]) -> None:
    """Write a jobs file with every column that a row has."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue())


def jobs_runner(store: Path, weights: Path, cast: Path) -> RunJobs:
    """Return a function that animates jobs, given as rows of a jobs file, into a store."""

    def run_jobs(*rows: Mapping[str, Any], **more: Any) -> Summary:
        write_jobs(cast / "jobs.csv", rows)
        request = {"store": str(store), "weights": str(weights), "defaults": SKETCH} | more
        return animate_locally(Request(jobs=str(cast / "jobs.csv"), **request))

    return run_jobs


def manifest_rows(summary: Summary) -> dict[str, dict[str, Any]]:
    """Return the manifest's rows by job_id, read without troupe."""
    with fsspec.open(summary.manifest) as file:
        return {row["job_id"]: row for row in pq.read_table(file).to_pylist()}
