"""Details of one job, and the command that runs it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from catalogs.query.jobs import list_jobs, plain_rows
from catalogs.requests.access.input_policy import ANY_PUBLIC
from catalogs.requests.jobs_file import job_cells, read_request
from catalogs.store import uris
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

    An existing render is reused. Values that grant access, such as a presigned URL's signature, are `***` in it.

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
    options = ["--store", store.url, *_run_options(store, row["run_id"])]
    line = json.dumps(
        {name: value for name, value in uris.redacted_value(job).items() if value not in (None, "", {}, [])}
    )
    file = f"{row['job_id']}.jsonl"
    return (
        f"printf '%s\\n' {shlex.quote(line)} > {shlex.quote(file)} && "
        f"troupe run {shlex.quote(file)} {shlex.join(options)}"
    )


def _run_options(store: Store, run_id: str) -> list[str]:
    """Return the options of the run that decide, beside the jobs, what it reads, renders, measures and accepts."""
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
    if (least := request.get("min_identity")) is not None:
        options += ["--min-identity", str(least)]
    for name, most in (request.get("max_quality") or {}).items():
        options += ["--max", f"{name}={most}"]
    for name in ("require_consent", "require_signature", "fail_quality"):
        if request.get(name):
            options.append("--" + name.replace("_", "-"))
    # Local files and buckets may be read anyway, unless the policy of the store limits them.
    folders = [request.get("portraits"), request.get("drivings"), uris.parent(request.get("jobs") or "")]
    named = [folder for folder in folders if folder and uris.scheme(folder) in uris.HTTP]
    for entry in dict.fromkeys([*(request.get("allow_input") or ()), *named]):
        if entry not in ANY_PUBLIC:
            options += ["--allow-input", entry]
    return options
