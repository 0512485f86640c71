"""bench.store.catalog: the generated catalog and its queries."""

from __future__ import annotations

from pathlib import Path

from bench.store.catalog import _run_query, fill
from bench.support.catalog_query import QUERIES
from catalogs.query.jobs import list_jobs
from catalogs.store.store import open_store


def test_a_small_catalog(tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    fill(url, commits=5, rows=40)
    store = open_store(url)
    rows = list_jobs(store)
    assert rows.num_rows == 200
    assert len(set(rows.column("run_id").to_pylist())) == 2
    assert len(list(Path(url).glob("catalog/*.parquet"))) == 5
    for query in ("failed", "sql"):
        cost = _run_query(url, query)
        assert 0 < cost.rows <= 20
        assert 0 < cost.cpu < cost.peak
    assert list_jobs(store, **QUERIES["run"]).num_rows == 0
