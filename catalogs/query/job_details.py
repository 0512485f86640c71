"""Everything about one job, and how to make it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from catalogs.query.jobs import ls, plain_rows
from catalogs.requests.jobs_file import job_cells, read_request
from catalogs.store.store import Store
from catalogs.table.snapshot import Moment
from troupe.errors import SettingsError, TroupeError

__all__ = ["again_command", "job_rows"]


def job_rows(store: Store, job_id: str, run: str | None = None, as_of: Moment | None = None) -> list[dict[str, Any]]:
    """What is known of a job in every run that had one of that name, the newest first, values as JSON has them.

    Raises:
        SettingsError: no run had such a job.
        StoreError: the catalog cannot be read.
    """
    rows = list(plain_rows(ls(store, job=job_id, run=run, as_of=as_of)))
    if not rows:
        where = f"run {run}" if run else store.url
        raise SettingsError(f"{where} has no job {job_id!r}; `troupe catalog ls` lists them")
    return rows


def again_command(store: Store, row: Mapping[str, Any]) -> str:
    """A line for a shell that makes the job anew, from its request as it was; reused as long as the render exists.

    Args:
        row: of the job.
    """
    try:
        request = {job.job_id: job for job in read_request(store, row["run_id"])}
        job = job_cells(request[row["job_id"]])
    except (TroupeError, LookupError):
        # A run whose request is gone: what the row knows of it.
        names = ("job_id", "portrait", "driving", "identity", "audio", "language", "output", "preset", "seed")
        job = {name: row[name] for name in names} | {"start": row["start_seconds"], "end": row["end_seconds"]}
    line = json.dumps({name: value for name, value in job.items() if value not in (None, "", {}, [])})
    file = f"{row['job_id']}.jsonl"
    return (
        f"printf '%s\\n' {shlex.quote(line)} > {shlex.quote(file)} && "
        f"troupe run {shlex.quote(file)} --store {shlex.quote(store.url)} --weights DIR"
    )
