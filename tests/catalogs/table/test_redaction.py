"""Rows that an earlier version wrote with credentials are not shown with them."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from catalogs.query.jobs import list_jobs
from catalogs.query.sql import sql
from catalogs.store.store import Store
from catalogs.table.manifest import manifest_rows, write_manifest
from catalogs.table.redaction import redacted_table
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.runs import read_run
from tests.catalogs.conftest import row

URI = "https://h/my clip.mp4?X-Amz-Signature=c0ffee"
SHOWN = "https://h/my clip.mp4?X-Amz-Signature=***"
RUN = {"state": "done", "started_at": "2026-03-01T12:00:00+00:00", "updated_at": "2026-03-01T12:00:00+00:00"}


@pytest.fixture
def old(folder_store: Store) -> Store:
    """A store with a row, a record and a manifest as earlier versions wrote them."""
    written = row("old", "a", tags={"from": "plain"}) | {"portrait": URI, "driving": URI, "tags": {"from": URI}}
    with RowBuffer(folder_store, "old") as buffer:
        buffer.append(written | {"error": f"403 for url='{URI.replace(' ', '%20')}' (try again)"})
    return folder_store


def test_old_rows_are_shown_without_credentials(old: Store) -> None:
    (listed,) = list_jobs(old).to_pylist()
    assert (listed["portrait"], listed["tags"]) == (SHOWN, [("from", SHOWN)])
    assert listed["error"] == "403 for url='https://h/my%20clip.mp4?X-Amz-Signature=***' (try again)"
    query = "SELECT portrait AS p, tags, list(driving) AS d, {'x': driving} AS s FROM jobs GROUP BY ALL"
    (found,) = sql(old, query).to_pylist()
    assert found == {"p": SHOWN, "tags": [("from", SHOWN)], "d": [SHOWN], "s": {"x": SHOWN}}
    assert list_jobs(old, tags=[f"from={URI}"]).num_rows == 1
    write_manifest(old, "old")
    (manifest,) = manifest_rows(old, "old")
    assert "c0ffee" not in str(manifest)


def test_other_tables_stay_as_they_are() -> None:
    table = pa.table({"n": [1, 2], "uri": ["s3://b/a.png", None], "tags": [[("k", "v")], None]})
    assert redacted_table(table) is table


def test_records_of_old_runs_are_shown_without_credentials(old: Store) -> None:
    request = {"jobs": URI, "defaults": {"audio": URI}}
    old.replace(json.dumps(RUN | {"run_id": "old", "request": request}).encode(), "runs/old/run.json")
    assert read_run(old, "old").request == {"jobs": SHOWN, "defaults": {"audio": SHOWN}}
