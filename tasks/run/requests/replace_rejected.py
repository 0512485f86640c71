"""Requests that make rejected films again, with other seeds."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from typing import Any

from catalogs.query.attempts import rejected_films
from catalogs.requests.access.input_policy import ANY_PUBLIC
from catalogs.requests.jobs_file import read_request, write_request
from catalogs.store import uris
from catalogs.store.keys import ID_BYTES, run_key
from catalogs.store.store import Store
from catalogs.table.runs import read_run
from tasks.run.request import Request, new_run_id
from troupe import PRESETS, Job
from troupe.errors import SettingsError, StoreError

__all__ = ["replacement_requests"]

_OF_THE_JOBS = ("jobs", "portraits", "drivings", "defaults", "identity_from", "limit", "preview", "run_id", "retry")
"""Parameters that decided which jobs a run had: what became of them is in its request."""
_SEEDS = 2**63


@contextmanager
def replacement_requests(
    store: Store,
    run: str | None = None,
    *,
    seed_step: int = 1,
    preset: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    allow_input: Sequence[str] = (),
) -> Iterator[list[Request]]:
    """Yield requests of new runs that make the rejected films again, one for each set of settings of their runs.

    Every job is the one that made the film, with the next seed that no job like it has had, and names the film that it
    replaces. The requests' jobs files are written as those of their runs; an error inside the `with` block deletes
    those of runs that did not start.

    Args:
        run: only the films of this run; default all films of the store that nothing replaces yet.
        seed_step: number that is added to the seed.
        preset: preset of the new jobs; default that of the film.
        overrides: parameters of the new runs instead of those of the films' runs.
        allow_input: further folders, buckets and hosts that inputs may be read from.

    Raises:
        SettingsError: an argument is invalid, or the request of a film's run is gone; nothing is written.
        StoreError: the store cannot be read or written.
    """
    if preset is not None and preset not in PRESETS:
        raise SettingsError(f"unknown preset {preset!r}; use one of {', '.join(PRESETS)}")
    if seed_step < 0 or (seed_step == 0 and preset is None):
        raise SettingsError("the same seed and preset make the same film; use a seed step of 1 or more, or a preset")
    films: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for film in rejected_films(store, run):
        films[film["run_id"]].append(film)
    requested = {run_id: read_request(store, run_id) for run_id in films}
    used = {(_alike(job), job.seed) for jobs in requested.values() for job in jobs}
    groups: dict[str, tuple[dict[str, Any], list[Job]]] = {}
    problems: list[str] = []
    for run_id, rejected in films.items():
        by_id = {job.job_id: job for job in requested[run_id]}
        parameters = _parameters(store, run_id, overrides or {}, allow_input)
        _, jobs = groups.setdefault(json.dumps(parameters, sort_keys=True, default=str), (parameters, []))
        for film in rejected:
            job = by_id.get(film["job_id"])
            if job is None:
                problems.append(f"the request of run {run_id} has no job {film['job_id']!r} any more")
                continue
            again = replace(job, preset=preset or job.preset, replaces=film["render_key"])
            seed = (job.seed + seed_step) % _SEEDS
            while seed_step and (_alike(again), seed) in used:
                seed = (seed + seed_step) % _SEEDS
            if (again.preset, seed) == (job.preset, job.seed):
                problems.append(f"{job.job_id} has the preset {preset} already; use a seed step of 1 or more")
            used.add((_alike(again), seed))
            jobs.append(replace(again, seed=seed, job_id=_free_id(job.job_id, jobs)))
    if problems:
        raise SettingsError(problems[0]) if len(problems) == 1 else SettingsError("cannot retry:", problems)
    planned = [(new_run_id(), *group) for group in groups.values()]
    try:
        yield [_request(store, *run) for run in planned]
    except BaseException:
        for run_id, *_ in planned:
            _discard_unstarted(store, run_id)
        raise


def _discard_unstarted(store: Store, run_id: str) -> None:
    """Delete the jobs file of a run that has written nothing else."""
    file = run_key(run_id, "request.parquet")
    with suppress(StoreError):  # the error that is being raised says what is wrong
        if store.list(f"runs/{run_id}") == [file]:
            store.delete(file)


def _request(store: Store, run_id: str, parameters: dict[str, Any], jobs: list[Job]) -> Request:
    file = store.uri(write_request(store, run_id, jobs))
    return Request.from_parameters({**parameters, "store": store.url, "jobs": file, "run_id": run_id})


def _parameters(store: Store, run_id: str, overrides: Mapping[str, Any], allow_input: Sequence[str]) -> dict[str, Any]:
    """Return the parameters of a run that decide what its renders look like, and where its inputs may be."""
    before = read_run(store, run_id).request
    names = {field.name for field in fields(Request)} - {*_OF_THE_JOBS, "store"}
    parameters = {name: value for name, value in before.items() if name in names}
    parameters |= {name: value for name, value in overrides.items() if value is not None}
    folders = [before.get("portraits"), before.get("drivings")]
    folders += [uris.parent(before["jobs"])] if before.get("jobs") else []
    known = dict.fromkeys([*(parameters.get("allow_input") or ANY_PUBLIC), *filter(None, folders), *allow_input])
    return parameters | {"allow_input": tuple(known)}


def _alike(job: Job) -> Any:
    """Return what is equal for jobs that differ in their seeds only."""
    return repr(replace(job, job_id="", seed=0, replaces="", tags={}, consent=""))


def _free_id(job_id: str, jobs: Sequence[Job]) -> str:
    """Return the id, with a number if a job has it already: another run's, of the same name."""
    taken, number, free = {job.job_id for job in jobs}, 1, job_id
    while free in taken:
        number += 1
        end = f"-{number}"
        free = job_id.encode()[: ID_BYTES - len(end)].decode(errors="ignore") + end
    return free
