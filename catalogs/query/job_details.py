"""Details of one job, and the command that runs it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from catalogs.query.jobs import list_jobs, plain_rows
from catalogs.requests.jobs_file import job_cells, read_request
from catalogs.store.store import Store
from catalogs.table.runs import read_run
from catalogs.table.snapshot import AsOf
from troupe.errors import SettingsError, TroupeError

__all__ = ["job_rows", "rerun_command"]


def job_rows(store: Store, job_id: str, run: str | None = None, as_of: AsOf | None = None) -> list[dict[str, Any]]:
    """Return the job's rows from every run that has it, the newest first, as JSON values.

    Raises:
        SettingsError: no run has the job.
        StoreError: the catalog cannot be read.
    """
    rows = list(plain_rows(list_jobs(store, job=job_id, run=run, as_of=as_of)))
    if not rows:
        where = f"run {run}" if run else store.url
        raise SettingsError(f"{where} has no job {job_id!r}; {store.command('catalog ls')} lists them")
    return rows


def rerun_command(store: Store, row: Mapping[str, Any]) -> str:
    """Return a shell command that runs the job again, from its original request and with the run's model.

    An existing render is reused.

    Args:
        row: row of the job.
    """
    try:
        request = {job.job_id: job for job in read_request(store, row["run_id"])}
        job = job_cells(request[row["job_id"]])
    except (TroupeError, LookupError):
        # The run's request is gone: use the row's columns.
        names = (
            *("job_id", "portrait", "driving", "identity", "audio", "language", "output", "preset", "seed"),
            *("audio_track", "video_track", "size", "subtitles", "subtitles_burn", "subtitles_language", "lips"),
        )
        job = {name: row[name] for name in names} | {"start": row["start_seconds"], "end": row["end_seconds"]}
    options = ["--store", store.url, *_model_options(store, row["run_id"])]
    line = json.dumps({name: value for name, value in job.items() if value not in (None, "", {}, [])})
    file = f"{row['job_id']}.jsonl"
    return (
        f"printf '%s\\n' {shlex.quote(line)} > {shlex.quote(file)} && "
        f"troupe run {shlex.quote(file)} {shlex.join(options)}"
    )


def _model_options(store: Store, run_id: str) -> list[str]:
    """Return the options of the run that decide, beside the jobs, what its renders are and what is measured of them."""
    try:
        request = read_run(store, run_id).request
    except TroupeError:
        request = {}  # a run of an early version, or its record is gone
    options = ["--weights", request.get("weights") or "DIR"]
    if detector := request.get("detector"):
        options += ["--detector", detector]
    if (dtype := request.get("dtype", "auto")) != "auto":
        options += ["--dtype", dtype]
    for name in ("credentials", "syncnet"):
        if place := request.get(name):
            options += [f"--{name}", place]
    return options
