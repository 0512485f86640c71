"""The catalog as notebooks open it."""

from __future__ import annotations

from datetime import timedelta

import catalogs
from catalogs.store.store import Store
from tests.catalogs.conftest import NOON, job_ids, record, row
from troupe.errors import NoFace


def test_open_returns_a_catalog_for_notebooks(folder_store: Store) -> None:
    record(folder_store, "r1", [row("r1", "a"), row("r1", "b", "failed", error=NoFace("none"))])
    catalog = catalogs.open(folder_store.url)
    assert job_ids(catalog.jobs(status="failed")) == ["b"]
    assert catalog.dataset().count_rows() == 2
    assert catalog.sql("SELECT count(*) AS n FROM jobs").to_pylist() == [{"n": 2}]
    assert catalogs.open(folder_store.url, as_of=0).jobs().num_rows == 0


def test_the_latest_run_is_found_by_that_name(folder_store: Store) -> None:
    catalog = catalogs.open(folder_store.url)
    assert catalog.jobs(run="latest").num_rows == 0
    record(folder_store, "r1", [row("r1", "a")])
    record(folder_store, "r2", [{**row("r2", "b"), "recorded_at": NOON + timedelta(hours=1)}])
    assert job_ids(catalog.jobs(run="latest")) == ["b"]
    assert catalog.sql("SELECT job_id FROM jobs", run="latest").to_pylist() == [{"job_id": "b"}]
