"""Snapshots of the catalog: the latest rows, tables of other versions, and the requests a read costs."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from datetime import timedelta

import deltalake
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import fs

from catalogs.store.store import Store, open_store
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.schema import SCHEMA, table_of
from catalogs.table.snapshot import latest_rows, open_table, snapshot
from tests.catalogs.conftest import NOON, record, row
from tests.s3 import BUCKET, Endpoint
from troupe.errors import StoreError


def test_latest_prefers_done_to_reused() -> None:
    order = ["failed", "done", "reused", "failed"]
    for count, expected in enumerate(["failed", "done", "done", "failed"], start=1):
        rows = [
            {**row("r", "j", status), "recorded_at": NOON + timedelta(seconds=n)}
            for n, status in enumerate(order[:count])
        ]
        other = {**row("r2", "j", "reused"), "recorded_at": NOON}
        table = latest_rows(table_of([*reversed(rows), other]))
        assert table.select(["run_id", "status"]).to_pylist() == [
            {"run_id": "r", "status": expected},
            {"run_id": "r2", "status": "reused"},
        ]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 9)), max_size=12))
def test_latest_is_one_row_per_job_and_run(entries: list[tuple[str, str, int]]) -> None:
    rows = [{**row(run, job), "recorded_at": NOON + timedelta(seconds=n)} for run, job, n in entries]
    found = latest_rows(table_of(rows)).select(["run_id", "job_id", "recorded_at"]).to_pylist()
    expected: dict[tuple[str, str], int] = {}
    for run, job, n in entries:
        expected[run, job] = max(n, expected.get((run, job), 0))
    assert {(e["run_id"], e["job_id"]): e["recorded_at"] for e in found} == {
        key: NOON + timedelta(seconds=n) for key, n in expected.items()
    }
    assert len(found) == len(expected)


def test_files_are_read_without_a_python_file_system(shared_store: Store) -> None:
    """With deltalake's own file system, a process that ended was aborted now and then."""
    record(shared_store, "r1", [row("r1", "a")])
    data = snapshot(shared_store).data
    assert isinstance(data, ds.FileSystemDataset)
    assert isinstance(data.filesystem, fs.SubTreeFileSystem)
    assert not isinstance(data.filesystem.base_fs, fs.PyFileSystem)


def test_reading_a_file_takes_two_requests(s3_endpoint: Endpoint) -> None:
    store = open_store(f"s3://{BUCKET}/requests-of-a-catalog")
    record(store, "r1", [row("r1", name) for name in "abc"], every_rows=1)
    rows = snapshot(store)
    before = Counter(s3_endpoint.requests)
    assert len(rows.read(columns=["run_id", "job_id", "frames", "recorded_at", "flagged"])) == 3
    assert s3_endpoint.requests - before == {"GET": 2 * 3}


def test_a_table_with_columns_from_the_future(shared_store: Store) -> None:
    place = shared_store.delta()
    assert place is not None
    uri, options = place
    newer = table_of([row("r0", "future")]).append_column("mood", pa.array(["calm"]))
    write_deltalake(uri, newer, storage_options=options)
    with RowBuffer(shared_store, "r1") as buffer:
        buffer.append(row("r1", "now"))
    read = snapshot(shared_store).read().sort_by("job_id")
    assert read.column_names == [*SCHEMA.names, "mood"]
    assert read.column("mood").to_pylist() == ["calm", None]


def test_a_table_from_the_past(shared_store: Store) -> None:
    place = shared_store.delta()
    assert place is not None
    uri, options = place
    older = table_of([row("r0", "past", quality_pose=1.0)]).drop_columns(["quality_identity", "worker"])
    write_deltalake(uri, older, storage_options=options)
    assert snapshot(shared_store).read().column("worker").to_pylist() == [None]
    with RowBuffer(shared_store, "r1") as buffer:
        buffer.append(row("r1", "now", worker="w"))
    read = snapshot(shared_store).read().sort_by("job_id")
    assert read.column("worker").to_pylist() == ["w", None]
    assert read.column("quality_pose").to_pylist() == [None, 1.0]
    assert "worker" in DeltaTable(uri, storage_options=options).to_pyarrow_dataset().schema.names


def test_delta_without_pandas() -> None:
    """pandas is not a dependency, because deltalake does not import it."""
    code = f"""
import sys
class NoPandas:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'")
sys.meta_path.insert(0, NoPandas())
sys.path[:0] = {sys.path!r}
from catalogs.table.row_buffer import RowBuffer
from catalogs.query.jobs import list_jobs, to_csv
from catalogs.store.store import open_store
from tests.catalogs.conftest import row
import tempfile
with tempfile.TemporaryDirectory() as folder:
    store = open_store(folder)
    with RowBuffer(store, "r1") as buffer:
        buffer.append(row("r1", "a"))
    print(to_csv(list_jobs(store, columns=["job_id", "finished_at"])))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "a,2026-03-01T12:00:05Z" in result.stdout


def test_deltalake_has_not_lost_what_is_used() -> None:
    assert deltalake.__version__ >= "1.5"
    with pytest.raises(StoreError, match="cannot hold a Delta table"):
        open_table(open_store("memory://x"))
