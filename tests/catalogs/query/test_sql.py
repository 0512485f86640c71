"""catalogs.query.sql and catalogs.query.statistics: questions in SQL, and what they may not do."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from catalogs.query.sql import sql
from catalogs.query.statistics import statistics, table_state
from catalogs.store.store import Store, open_store
from catalogs.table.row_buffer import RowBuffer
from tests.catalogs.conftest import NOON, row
from troupe.errors import NoFace, SettingsError


def fill(store: Store) -> Store:
    """A run that was resumed, and another one."""
    with RowBuffer(store, "r1") as buffer:
        buffer.append(row("r1", "a", "failed", error=NoFace("no"), tags=[("scene", "1")]))
        buffer.append(row("r1", "b", frames=10, seconds=0.4, bytes=5, render_key="k1", quality_identity=0.5))
    with RowBuffer(store, "r1") as buffer:
        buffer.append(row("r1", "a", frames=20, seconds=0.8, bytes=5, render_key="k2", tags=[("scene", "1")]))
        buffer.append(row("r1", "b", "reused", frames=10, render_key="k1"))
    with RowBuffer(store, "r2") as buffer:
        buffer.append(row("r2", "c", "failed", error=NoFace("no"), stages={"denoise": 2.0}))
    return store


def test_jobs_has_the_latest_rows_and_rows_has_all(store: Store) -> None:
    fill(store)
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


def test_statistics(store: Store) -> None:
    empty = statistics(store)
    assert (empty["jobs"], empty["by_error"], empty["first_finished"]) == (0, None, None)
    found = statistics(fill(store))
    assert (found["jobs"], found["runs"], found["videos"], found["frames_rendered"]) == (3, 2, 2, 30)
    assert (found["video_bytes"], found["seconds_denoise"], found["median_identity"]) == (10, 2.0, 0.5)
    assert (found["by_status"], found["by_error"]) == ({"done": 2, "failed": 1}, {"no_face": 1})
    assert statistics(store, run="r2")["jobs"] == 1
    state = table_state(store)
    assert (state.files if state else None) == (3 if store.delta() else None)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return fill(open_store(str(tmp_path_factory.mktemp("sql") / "store")))


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
