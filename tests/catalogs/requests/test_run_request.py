"""The request that a run keeps in its store."""

from __future__ import annotations

import dataclasses
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogs.requests.jobs_file import parse_jobs, read_request, write_request
from catalogs.store.store import Store, open_store
from tests.catalogs.requests.example_jobs import FULL, JOBS
from troupe import Job
from troupe.errors import SettingsError


@given(st.lists(JOBS, min_size=1, max_size=4, unique_by=lambda job: job.job_id))
@settings(max_examples=30)
def test_requests_round_trip(jobs: list[Job]) -> None:
    store = open_store(f"memory://{uuid4().hex}")
    key = write_request(store, "r1", jobs)
    assert key == "runs/r1/request.parquet"
    assert read_request(store, "r1") == jobs
    assert parse_jobs(store.read(key), key, "/elsewhere") == jobs


def test_a_run_keeps_its_request(store: Store) -> None:
    jobs = [FULL, dataclasses.replace(FULL, job_id="b", end=None, tags={})]
    write_request(store, "r1", jobs)
    write_request(store, "r1", jobs)
    assert store.list() == ["runs/r1/request.parquet"]
    with pytest.raises(SettingsError, match=r"run r1 in .* has other jobs"):
        write_request(store, "r1", jobs[:1])
    with pytest.raises(SettingsError, match="run_id is"):
        write_request(store, "../r1", jobs)
    assert read_request(store, "r1") == jobs
