"""Queries in SQL, and what they may not do."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from catalogs.query.sql import sql
from catalogs.store.store import Store, open_store
from tests.catalogs.conftest import NOON, record_resumed_run
from troupe.errors import SettingsError


def test_jobs_has_the_latest_rows_and_rows_has_all(store: Store) -> None:
    record_resumed_run(store)
    assert sql(store, "SELECT job_id, status FROM jobs ORDER BY ALL").to_pylist() == [
        {"job_id": "a", "status": "done"},
        {"job_id": "b", "status": "done"},
        {"job_id": "c", "status": "failed"},
    ]
    assert sql(store, "SELECT count(*) AS n FROM rows").to_pylist() == [{"n": 5}]
    assert sql(store, "SELECT job_id FROM jobs WHERE tags['scene'] = '1'").to_pylist() == [{"job_id": "a"}]
    assert sql(store, "SELECT date_trunc('day', max(finished_at)) AS d FROM jobs").to_pylist() == [
        {"d": NOON - timedelta(hours=12)}
    ]
    assert sql(store, "SELECT count(*) AS n FROM jobs", run="r2").to_pylist() == [{"n": 1}]
    assert sql(store, "SELECT count(*) AS n FROM jobs", status="failed").to_pylist() == [{"n": 1}]
    assert sql(store, "DESCRIBE jobs").num_rows > 50


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return record_resumed_run(open_store(str(tmp_path_factory.mktemp("sql") / "store")))


def test_a_refused_statement_is_told_all_tables(filled: Store) -> None:
    with pytest.raises(SettingsError) as refused:
        sql(filled, "DROP VIEW jobs")
    for table in ("jobs", "rows", "exports", "decisions"):
        assert f"`{table}`" in str(refused.value)


@pytest.mark.parametrize(
    "query",
    [
        "DROP VIEW jobs",
        "CREATE TABLE t AS SELECT 1",
        "SELECT 1; DROP VIEW rows",
        "INSERT INTO rows SELECT * FROM rows",
        "COPY rows TO '{folder}/stolen.csv'",
        "EXPORT DATABASE '{folder}/stolen'",
        "ATTACH '{folder}/other.db'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/*')",
        "FROM 's3://bucket/file.parquet'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "PRAGMA enable_profiling = 'json'",
        "SELECT * FROM data",
        "SELECT * FROM store",
        "SELECT * FROM every, jobs",
        "SELECT getenv('HOME')",
        "nonsense",
        "",
    ],
)
def test_queries_cannot_write_or_read_other_files(query: str, filled: Store, tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        sql(filled, query.format(folder=tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert sql(filled, "SELECT count(*) AS n FROM rows").to_pylist() == [{"n": 5}]
