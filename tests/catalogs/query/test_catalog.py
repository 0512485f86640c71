"""The catalog as notebooks open it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import catalogs
from catalogs.store.store import Store
from tests.catalogs.conftest import NOON, job_ids, record, row
from troupe.errors import NoFace, SettingsError


def test_open_returns_a_catalog_for_notebooks(folder_store: Store) -> None:
    record(folder_store, "r1", [row("r1", "a"), row("r1", "b", "failed", error=NoFace("none"))])
    catalog = catalogs.open(folder_store.url)
    assert job_ids(catalog.jobs(status="failed")) == ["b"]
    assert catalog.dataset().count_rows() == 2
    assert catalog.sql("SELECT count(*) AS n FROM jobs").to_pylist() == [{"n": 2}]
    assert catalogs.open(folder_store.url, as_of=0).jobs().num_rows == 0


def test_the_latest_run_is_found_by_that_name(folder_store: Store) -> None:
    with pytest.raises(SettingsError, match="no troupe store"):
        catalogs.open(folder_store.url)
    folder_store.put_bytes(b"", "runs/r0/request.parquet")
    catalog = catalogs.open(folder_store.url)
    assert catalog.jobs(run="latest").num_rows == 0
    record(folder_store, "r1", [row("r1", "a")])
    record(folder_store, "r2", [{**row("r2", "b"), "recorded_at": NOON + timedelta(hours=1)}])
    assert job_ids(catalog.jobs(run="latest")) == ["b"]
    assert catalog.sql("SELECT job_id FROM jobs", run="latest").to_pylist() == [{"job_id": "b"}]


def test_a_dataset_has_no_credentials(folder_store: Store) -> None:
    """Rows of earlier versions may have presigned URIs."""
    secret = "https://host/ada.png?X-Amz-Signature=0123456789abcdef"
    record(folder_store, "r1", [row("r1", "new")])
    assert catalogs.open(folder_store.url).dataset().count_rows() == 1
    old = {**row("r0", "old"), "schema_version": 3, "portrait": secret, "tags": [("source", secret)]}
    record(folder_store, "r0", [old])
    data = catalogs.open(folder_store.url).dataset()
    assert data.count_rows() == 2
    assert "0123456789abcdef" not in str(data.to_table().to_pylist())
    (found,) = [found for found in data.to_table().to_pylist() if found["job_id"] == "old"]
    assert found["portrait"] == "https://host/ada.png?X-Amz-Signature=***"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"url": None}, "the store's URL is None; give a folder or a URL such as s3://bucket/folder"),
        ({"url": 5}, "the store's URL is 5"),
        ({"as_of": -1}, "as_of is -1; use a version of the catalog's table from 0 on, or a datetime with a time zone"),
        ({"as_of": True}, "as_of is True"),
        ({"as_of": "yesterday"}, "as_of is 'yesterday'"),
        ({"as_of": datetime(2026, 1, 1)}, "2026-01-01T00:00:00 has no time zone"),
    ],
)
def test_arguments_that_name_no_catalog(arguments: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with pytest.raises(SettingsError) as caught:
        catalogs.open(**{"url": str(tmp_path)} | arguments)
    assert message in caught.value.message


def test_a_store_may_be_a_path(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    assert catalogs.open(tmp_path).store.url == str(tmp_path)
