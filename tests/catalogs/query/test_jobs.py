"""catalogs.query.jobs, catalogs.table.manifest and catalogs.table.snapshot: asking for what was made."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import fs

import catalogs
from catalogs.query.jobs import latest_run, list_jobs, to_csv, to_json
from catalogs.store.store import Store, open_store
from catalogs.table import manifest
from catalogs.table.manifest import manifest_rows, read_manifest, write_manifest
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.schema import SCHEMA, Row, table_of
from catalogs.table.snapshot import latest_rows, snapshot
from tests.catalogs.conftest import NOON, row
from tests.s3 import BUCKET, Endpoint
from troupe.errors import NoFace, SettingsError, StoreError


def commit(store: Store, run: str, rows: list[Row], every_rows: int = 100) -> None:
    with RowBuffer(store, run, every_rows=every_rows) as buffer:
        for entry in rows:
            buffer.append(entry)


def ids(table: pa.Table) -> list[str]:
    return [str(name) for name in table.column("job_id").to_pylist()]


@pytest.fixture
def filled(store: Store) -> Store:
    """Two runs, the first one resumed."""
    no_face = NoFace("no face")
    commit(store, "r1", [row("r1", "a", identity="Ana"), row("r1", "b", "failed", error=no_face, identity="Bo")])
    commit(store, "r2", [row("r2", "a", "reused", identity="Ana"), row("r2", "c", identity="Cy")], every_rows=1)
    commit(
        store,
        "r1",
        [row("r1", "b", identity="Bo"), row("r1", "a", "reused", identity="Ana"), row("r1", "d", "cancelled")],
    )
    return store


def test_ls(filled: Store) -> None:
    everything = list_jobs(filled)
    assert everything.column_names == SCHEMA.names
    listed = [(entry["run_id"], entry["job_id"], entry["status"]) for entry in everything.to_pylist()]
    assert listed == [
        ("r1", "d", "cancelled"),
        ("r1", "b", "done"),
        ("r2", "c", "done"),
        ("r2", "a", "reused"),
        ("r1", "a", "done"),
    ]
    assert ids(list_jobs(filled, status="done")) == ["b", "c", "a"]
    assert ids(list_jobs(filled, status="failed")) == []
    assert ids(list_jobs(filled, run="r2")) == ["c", "a"]
    assert ids(list_jobs(filled, identity="Ana")) == ["a", "a"]
    assert ids(list_jobs(filled, identity="Ana", run="r1", status="done")) == ["a"]
    assert ids(list_jobs(filled, limit=2)) == ["d", "b"]
    assert ids(list_jobs(filled, limit=0)) == []
    assert list_jobs(filled, limit=1, columns=["status", "run_id"]).to_pylist() == [
        {"status": "cancelled", "run_id": "r1"}
    ]
    assert latest_run(filled) == "r1"


def test_values_stay_values(filled: Store) -> None:
    for nasty in ("x' OR '1'='1", '"; DROP TABLE catalog; --', "../r1", "", "r1/parts"):
        assert list_jobs(filled, identity=nasty).num_rows == (1 if nasty == "" else 0)
        assert list_jobs(filled, run=nasty).num_rows == 0
        with pytest.raises(SettingsError, match="no status"):
            list_jobs(filled, status=nasty)
        with pytest.raises(SettingsError, match="no column"):
            list_jobs(filled, columns=["job_id", nasty + " FROM x"])
    with pytest.raises(SettingsError, match="negative"):
        list_jobs(filled, limit=-1)


def test_an_empty_catalog(store: Store) -> None:
    assert list_jobs(store).num_rows == 0
    assert list_jobs(store, columns=["job_id"]).column_names == ["job_id"]
    assert latest_run(store) is None
    assert to_csv(list_jobs(store, columns=["job_id"])) == "job_id\n"
    assert to_json(list_jobs(store)) == "[]"


def test_manifest(filled: Store, tmp_path: Path) -> None:
    assert write_manifest(filled, "r1") == "runs/r1/manifest.parquet"
    filled.get("runs/r1/manifest.parquet", tmp_path / "m.parquet")
    plain = pq.read_table(tmp_path / "m.parquet")
    assert [(entry["job_id"], entry["status"]) for entry in plain.to_pylist()] == [
        ("a", "done"),
        ("b", "done"),
        ("d", "cancelled"),
    ]
    assert plain.schema.equals(SCHEMA)
    assert plain.schema.metadata[b"troupe.schema_version"] == b"2"
    assert plain.column("error_kind").to_pylist() == [None] * 3
    assert read_manifest(filled, "r1").equals(plain)
    commit(filled, "r1", [row("r1", "e")])
    write_manifest(filled, "r1")
    assert ids(read_manifest(filled, "r1")) == ["a", "b", "d", "e"]
    assert ids(list_jobs(filled, run="r1")) == ["e", "d", "b", "a"]


def test_a_manifest_of_more_rows_than_fit_into_memory(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_ROWS", 3)
    monkeypatch.setattr(manifest, "_FILES", 4)
    jobs = [f"j{n:02}" for n in range(23)]
    Random(5).shuffle(jobs)
    for first in range(0, 23, 5):
        commit(store, "r1", [row("r1", job, "cancelled") for job in jobs[first : first + 5]])
        commit(store, "r2", [row("r2", "other")])
    commit(store, "r1", [row("r1", job) for job in jobs[::2]])
    write_manifest(store, "r1")
    there = read_manifest(store, "r1")
    assert ids(there) == sorted(jobs)
    assert there.equals(latest_rows(snapshot(store, "r1").read()).sort_by("job_id"))
    assert list(manifest_rows(store, "r1")) == there.to_pylist()


def test_manifests_that_are_not_there(store: Store) -> None:
    with pytest.raises(StoreError, match=r"manifest\.parquet"):
        read_manifest(store, "r9")
    for wrong in (read_manifest, write_manifest):
        with pytest.raises(SettingsError, match="run_id"):
            wrong(store, "../r1")
    store.put_bytes(b"no parquet", "runs/r1/manifest.parquet")
    with pytest.raises(StoreError, match="is damaged"):
        read_manifest(store, "r1")


def test_a_run_without_parts_is_read_from_its_manifest() -> None:
    store = open_store("memory://manifest-only")
    commit(store, "r1", [row("r1", "a"), row("r1", "b")])
    write_manifest(store, "r1")
    moved = open_store("memory://manifest-moved")
    moved.put_bytes(store.read("runs/r1/manifest.parquet"), "runs/r1/manifest.parquet")
    assert ids(list_jobs(moved)) == ["b", "a"]
    moved.put_bytes(b"no parquet", "runs/r2/parts/00000.parquet")
    with pytest.raises(StoreError, match=r"00000\.parquet is damaged"):
        list_jobs(moved)
    assert ids(list_jobs(moved, run="r1")) == ["b", "a"]


def test_latest_prefers_done_to_found_again() -> None:
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
def test_latest_is_one_row_a_job_and_run(entries: list[tuple[str, str, int]]) -> None:
    rows = [{**row(run, job), "recorded_at": NOON + timedelta(seconds=n)} for run, job, n in entries]
    found = latest_rows(table_of(rows)).select(["run_id", "job_id", "recorded_at"]).to_pylist()
    expected: dict[tuple[str, str], int] = {}
    for run, job, n in entries:
        expected[run, job] = max(n, expected.get((run, job), 0))
    assert {(e["run_id"], e["job_id"]): e["recorded_at"] for e in found} == {
        key: NOON + timedelta(seconds=n) for key, n in expected.items()
    }
    assert len(found) == len(expected)


def test_csv_is_harmless_in_a_spreadsheet(folder_store: Store) -> None:
    nasty = ["=1+1", "+1", "-1", "@x", " =cmd|'/c calc'!A1", "\t=1", "\uff1d1+1", "fine", 'quote", and\nline']
    rows = [row("r1", f"j{n}", identity=text, quality_pose=-0.5, tags=[("k", "=1")]) for n, text in enumerate(nasty)]
    commit(folder_store, "r1", rows)
    table = list_jobs(folder_store, columns=["job_id", "identity", "quality_pose", "tags", "finished_at", "width"])
    parsed = {entry["job_id"]: entry for entry in csv.DictReader(io.StringIO(to_csv(table)))}
    for n, text in enumerate(nasty):
        assert parsed[f"j{n}"]["identity"] == (text if n > 6 else "'" + text)
    assert parsed["j0"] == {
        "job_id": "j0",
        "identity": "'=1+1",
        "quality_pose": "-0.5",
        "tags": '{"k": "=1"}',
        "finished_at": "2026-03-01T12:00:05Z",
        "width": "",
    }


def test_json(folder_store: Store) -> None:
    nasty = '<script>"é'
    commit(folder_store, "r1", [row("r1", "a", identity=nasty, tags=[("k", "v")], face=(1, 2, 3, 4), gaps=[(1, 2)])])
    (entry,) = json.loads(to_json(list_jobs(folder_store)))
    assert list(entry) == SCHEMA.names
    assert (entry["identity"], entry["tags"], entry["face"]) == (
        nasty,
        {"k": "v"},
        {"x1": 1, "y1": 2, "x2": 3, "y2": 4},
    )
    assert (entry["gaps"], entry["finished_at"]) == ([{"first": 1, "stop": 2}], "2026-03-01T12:00:05Z")
    assert json.loads(to_json(pa.table({"x": [float("inf"), None, 1.5]}))) == [{"x": None}, {"x": None}, {"x": 1.5}]


def test_filters(folder_store: Store) -> None:
    """Each of them on rows that differ in nothing else; and where they are recorded in many files."""
    late = NOON + timedelta(days=1)
    no_face = NoFace("none")
    rows = [
        row("r1", "a", identity="Ana", tags=[("scene", "1"), ("take", "2")], quality_identity=0.9, frames=10),
        row("r1", "b", "failed", error=no_face, identity="Bo", tags=[("scene", "2")]),
        row("r1", "c", identity="Ana", quality_identity=0.3, frames=99),
        {**row("r1", "d"), "driving": "s3://clips/laugh.mp4", "language": "pt-BR", "finished_at": late},
    ]
    commit(folder_store, "r1", rows, every_rows=1)

    def found(**filters: Any) -> str:
        return "".join(sorted(ids(list_jobs(folder_store, **filters))))

    assert found(tags=["scene"]) == "ab"
    assert found(tags=["scene=1"]) == "a"
    assert found(tags=["scene=1", "take=2"]) == "a"
    assert found(tags=["scene=1", "take=3"]) == ""
    assert found(driving="laugh.mp4") == found(driving="s3://clips/laugh.mp4") == found(language="pt-BR") == "d"
    assert found(driving="ugh.mp4") == ""
    assert found(error_kind="no_face") == "b"
    assert found(since=late) == "d"
    assert found(until=late) == "abc"
    assert found(least={"identity": 0.5}) == "a"
    assert found(most={"identity": 0.5}) == "c"
    assert found(least={"frames": 10}, most={"quality_identity": 0.5}) == "c"
    assert found(job="b") == "b"
    assert found(identity="Ana", status="failed") == ""
    for wrong in ({"least": {"job_id": 1}}, {"most": {"identity') OR 1=1": 1}}, {"since": late.replace(tzinfo=None)}):
        with pytest.raises(SettingsError, match=r"not a numeric column|no time zone"):
            found(**wrong)


def test_the_newest_rows_are_found_without_reading_the_others(folder_store: Store) -> None:
    """A job that was found again counts where it was done, however far back that is."""
    commit(folder_store, "r0", [row("r0", "first")])
    for n in range(20):
        commit(folder_store, f"r{n + 1}", [row(f"r{n + 1}", f"j{n}")])
    commit(folder_store, "r0", [row("r0", "first", "reused")])
    assert ids(list_jobs(folder_store, limit=3)) == ["j19", "j18", "j17"]
    assert ids(list_jobs(folder_store)) == [*(f"j{n}" for n in reversed(range(20))), "first"]
    assert ids(list_jobs(folder_store, limit=1, status="reused")) == []
    files = sorted(Path(folder_store.url).glob("catalog/*.parquet"), key=lambda path: path.stat().st_mtime_ns)
    for old in files[1:11]:
        old.unlink()
    assert ids(list_jobs(folder_store, limit=3)) == ["j19", "j18", "j17"]
    with pytest.raises(StoreError):
        list_jobs(folder_store)


def test_times_are_kept_to_the_microsecond(folder_store: Store) -> None:
    """Delta Lake cuts those of its statistics to milliseconds."""
    end = NOON + timedelta(microseconds=999_999)
    commit(folder_store, "r1", [{**row("r1", "a"), "finished_at": end}])
    assert ids(list_jobs(folder_store, since=end, until=end + timedelta(microseconds=1))) == ["a"]
    assert ids(list_jobs(folder_store, until=end)) == []


def test_files_are_read_without_asking_python(shared_store: Store) -> None:
    """With deltalake's own file system, a process that ended was aborted now and then."""
    commit(shared_store, "r1", [row("r1", "a")])
    data = snapshot(shared_store).data
    assert isinstance(data, ds.FileSystemDataset)
    assert isinstance(data.filesystem, fs.SubTreeFileSystem)
    assert not isinstance(data.filesystem.base_fs, fs.PyFileSystem)


def test_a_file_costs_two_requests(s3_endpoint: Endpoint) -> None:
    store = open_store(f"s3://{BUCKET}/requests-of-a-catalog")
    commit(store, "r1", [row("r1", name) for name in "abc"], every_rows=1)
    rows = snapshot(store)
    before = Counter(s3_endpoint.requests)
    assert len(rows.read(columns=["run_id", "job_id", "frames", "recorded_at", "flagged"])) == 3
    assert s3_endpoint.requests - before == {"GET": 2 * 3}


def test_the_past(shared_store: Store) -> None:
    commit(shared_store, "r1", [row("r1", "a")])
    then = datetime.now(UTC)
    commit(shared_store, "r2", [row("r2", "b")])
    assert ids(list_jobs(shared_store, as_of=then)) == ["a"]
    assert ids(list_jobs(shared_store, as_of=1)) == ["a"]
    assert ids(list_jobs(shared_store, as_of=2)) == ["b", "a"]
    assert ids(list_jobs(shared_store, as_of=then - timedelta(days=999))) == []
    for never in (99, then.replace(tzinfo=None)):
        with pytest.raises(SettingsError, match=r"has no state|no time zone"):
            list_jobs(shared_store, as_of=never)


def test_the_past_without_delta() -> None:
    store = open_store("memory://past")
    commit(store, "r1", [row("r1", "a")])
    then = datetime.now(UTC)
    commit(store, "r2", [row("r2", "b")])
    assert ids(list_jobs(store, as_of=then)) == ["a"]
    with pytest.raises(SettingsError, match="no versions"):
        list_jobs(store, as_of=1)


def test_for_notebooks(folder_store: Store) -> None:
    commit(folder_store, "r1", [row("r1", "a"), row("r1", "b", "failed", error=NoFace("none"))])
    catalog = catalogs.open(folder_store.url)
    assert ids(catalog.jobs(status="failed")) == ["b"]
    assert catalog.dataset().count_rows() == 2
    assert catalog.sql("SELECT count(*) AS n FROM jobs").to_pylist() == [{"n": 2}]
    assert catalogs.open(folder_store.url, as_of=0).jobs().num_rows == 0
