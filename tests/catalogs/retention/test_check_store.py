"""catalogs.retention.check_store: damage is found, and repaired or named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from catalogs.query.jobs import list_jobs
from catalogs.retention.check_store import CheckReport, check_store
from catalogs.review.decisions import Decision, Decisions
from catalogs.store.digests import put_with_digests
from catalogs.store.renders import encode_record, record_key
from catalogs.store.store import Store
from catalogs.table.exports import record_export
from catalogs.table.manifest import read_manifest, write_manifest
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.runs import RunInfo, write_run
from tests.catalogs.conftest import row
from troupe.errors import SettingsError, StoreError

FACTS = {
    "run_id": "r1",
    "job_id": "one",
    "outputs": {"full": "renders/k1/full.mp4"},
    "poster": "renders/k1/poster.jpg",
    "frames": 1,
    "fps": [25, 1],
    "face": [0, 0, 1, 1],
    "gaps": [],
}


@pytest.fixture
def filled(folder_store: Store) -> Store:
    store = folder_store
    put_with_digests(store, {"cache/motion/m.safetensors": b"motion", "cache/motion/m.jpg": b"thumbnail"})
    put_with_digests(store, {"cache/tracks/t.parquet": b"track"})
    puts = [store.put_bytes(name.encode(), f"renders/k1/{name}") for name in ("full.mp4", "poster.jpg")]
    store.put_bytes(encode_record({"key": "k1", **FACTS}, puts), record_key("renders/k1"))
    with RowBuffer(store, "r1") as buffer:
        buffer.append(row("r1", "one", render_key="k1", checksum=puts[0].sha256))
        buffer.append(row("r1", "two"))
    write_manifest(store, "r1")
    return store


def replaced(store: Store, key: str, data: bytes) -> None:
    store.replace(data, key)


def table_file(store: Store) -> str:
    (key,) = (key for key in store.list("catalog") if key.endswith(".parquet"))
    return key


def changed_run(store: Store) -> None:
    now = datetime.now(UTC)
    write_run(store, RunInfo("r1", "completed", now, now, jobs=41))
    store.replace(store.read("runs/r1/run.json").replace(b"41", b"14"), "runs/r1/run.json")


def without_digest(store: Store, **values: Any) -> dict[str, Any]:
    """Give the render's record the form that it has in stores of earlier versions; return it as it was."""
    record: dict[str, Any] = json.loads(store.read(record_key("renders/k1")))
    old = {name: value for name, value in record.items() if name not in ("files", "digest")}
    store.replace(json.dumps(old | values).encode(), record_key("renders/k1"))
    return record


def problems(report: CheckReport) -> list[str]:
    return [problem.what for problem in report.problems]


def test_a_whole_store(filled: Store) -> None:
    for deep in (False, True):
        report = check_store(filled, deep=deep)
        assert problems(report) == []
        assert report.checked == 2 + 1 + 1
        assert report.without_digest == 0
    assert report.hashed_bytes > 0


@pytest.mark.parametrize(
    ("damage", "what", "deep"),
    [
        (lambda s: replaced(s, "cache/motion/m.safetensors", b"moti0n"), "m.safetensors is damaged", True),
        (lambda s: replaced(s, "cache/motion/m.safetensors", b""), "m.safetensors is empty", False),
        (lambda s: replaced(s, "cache/motion/m.jpg", b"another"), "m.jpg is damaged", True),
        (lambda s: replaced(s, "cache/motion/m.sha256", b"short"), "m.sha256 is damaged", False),
        (lambda s: replaced(s, "renders/k1/full.mp4", b"FULL.mp4"), "full.mp4 is damaged", True),
        (lambda s: replaced(s, "renders/k1/full.mp4", b"full"), "full.mp4 is damaged", False),
        (lambda s: s.delete("renders/k1/poster.jpg"), "poster.jpg is missing", False),
        (lambda s: replaced(s, "renders/k1/render.json", b"{"), "render.json is damaged", False),
        (lambda s: s.delete("renders/k1/render.json"), "render.json is missing, although job one of run r1", False),
        (lambda s: replaced(s, "cache/hashes/r.sha256-0123456789abcdef.parquet", b"PAR1"), "is damaged", False),
        (lambda s: replaced(s, "cache/lengths/r.json", b"{"), "r.json is damaged", False),
        (lambda s: replaced(s, "runs/r1/run.json", b"{"), "run.json is damaged", False),
        (lambda s: changed_run(s), "run.json is damaged", False),
        (lambda s: replaced(s, "runs/r1/manifest.parquet", b"PAR1"), "manifest.parquet is damaged", True),
        (lambda s: s.delete(table_file(s)), "is missing", False),
        (lambda s: replaced(s, table_file(s), b"PAR1"), "is damaged", True),
    ],
)
def test_damage_is_found_and_repaired(filled: Store, damage: Callable[[Store], None], what: str, deep: bool) -> None:
    before = list_jobs(filled).sort_by("job_id").select(["job_id", "status"]).to_pylist()
    damage(filled)
    (found,) = check_store(filled, deep=deep).problems
    assert what in found.what
    assert not found.repaired
    assert all(problem.repaired for problem in check_store(filled, deep=True, repair=True).problems)
    left = problems(check_store(filled, deep=True))
    lost = [f"{filled.uri(record_key('renders/k1'))} is missing, although job one of run r1 is finished"]
    assert left == ([] if filled.exists(record_key("renders/k1")) else lost)
    assert list_jobs(filled).sort_by("job_id").select(["job_id", "status"]).to_pylist() == before
    assert len(read_manifest(filled, "r1")) == 2


def test_files_without_digests_get_them(filled: Store) -> None:
    for key in ("cache/motion/m.sha256", "cache/tracks/t.sha256"):
        filled.delete(key)
    record = without_digest(filled)
    filled.put_bytes(b"{}", "cache/lengths/old.json")
    report = check_store(filled)
    assert report.without_digest == 4
    assert report.unverified == tuple(
        filled.uri(key)
        for key in (
            "cache/lengths/old.json",
            "cache/motion/m.safetensors",
            "cache/tracks/t.parquet",
            record_key("renders/k1"),
        )
    )
    check_store(filled, repair=True)
    assert check_store(filled, deep=True).without_digest == 0
    assert json.loads(filled.read(record_key("renders/k1"))) == record
    filled.replace(b"tr4ck", "cache/tracks/t.parquet")
    assert problems(check_store(filled, deep=True)) == [
        f"{filled.uri('cache/tracks/t.parquet')} is damaged: its SHA-256 is not that of its digest"
    ]


def test_a_live_run_is_not_disturbed(filled: Store) -> None:
    now = datetime.now(UTC)
    write_run(filled, RunInfo("night", "running", now, now))
    assert check_store(filled, deep=True).problems == ()
    with pytest.raises(SettingsError, match="night is running"):
        check_store(filled, repair=True)


def test_what_cannot_be_repaired_is_named(filled: Store) -> None:
    filled.put_bytes(b"{", "tombstones/x.json")
    for key in filled.list("catalog/_delta_log"):
        filled.replace(b"nothing", key)
    found = check_store(filled, deep=True, repair=True).problems
    assert [problem.repaired for problem in found] == [False, False]
    repair, forget = filled.command("store check --deep --repair"), filled.command("forget")
    assert sorted(problem.remedy for problem in found) == [
        f"move the folder catalog away and run {repair}: the rows are in the manifests",
        f"run {forget} for that person again",
    ]
    for key in filled.list("catalog"):
        filled.delete(key)
    check_store(filled, deep=True, repair=True)
    assert len(list_jobs(filled)) == 2, "the catalog was built again from the manifest"


def test_a_record_that_lost_its_digest_is_compared_with_the_row(filled: Store) -> None:
    record = without_digest(filled, checksum="0" * 64)
    (found,) = check_store(filled, deep=True).problems
    assert found.what.endswith("render.json is damaged: its checksum is not that of job one of run r1")
    (found,) = check_store(filled, deep=True, repair=True).problems
    assert (found.repaired, found.remedy) == (True, "")
    assert json.loads(filled.read(record_key("renders/k1"))) == record


def test_a_render_that_lost_its_digests_and_is_damaged_at_once(filled: Store) -> None:
    filled.replace(b"FULL.mp4", "renders/k1/full.mp4")
    without_digest(filled, checksum=hashlib.sha256(b"FULL.mp4").hexdigest())
    (found,) = check_store(filled, deep=True, repair=True).problems
    assert (found.repaired, found.remedy) == (True, "run its jobs again")
    assert filled.list("renders") == []


def test_a_damaged_record_of_an_export_is_named(filled: Store) -> None:
    record_export(filled, "/delivery", [{"file": "one.mp4", "run_id": "r1", "job_id": "one", "render_key": "k1"}])
    assert check_store(filled, deep=True).problems == ()
    (key,) = filled.list("exports")
    data = bytearray(filled.read(key))
    data[data.index(b"one.mp4")] ^= 1
    filled.replace(bytes(data), key)
    (found,) = check_store(filled, repair=True).problems
    assert "is damaged" in found.what
    assert not found.repaired
    assert filled.exists(key)


def test_damaged_decisions_are_named_and_dropped(filled: Store) -> None:
    """The others stay readable; what was decided is nowhere else."""
    for number in range(2):
        Decisions(filled).add(Decision("ada", "film", f"k{number}", "approved"))
    assert check_store(filled, deep=True).problems == ()
    damaged, _ = sorted(key for key in filled.list("decisions") if key.endswith(".parquet"))
    replaced(filled, damaged, b"PAR1")
    assert check_store(filled).problems == ()
    (found,) = check_store(filled, deep=True).problems
    assert f"{damaged} is damaged" in found.what
    with pytest.raises(StoreError):
        Decisions(filled).all()
    (found,) = check_store(filled, deep=True, repair=True).problems
    assert found.repaired
    assert check_store(filled, deep=True).problems == ()
    assert len(Decisions(filled).all()) == 1


def test_a_lost_entry_of_the_forget_list_is_named(filled: Store) -> None:
    with RowBuffer(filled, "r1") as buffer:
        buffer.append(row("r1", "two", status="forgotten", identity="Ana"))
    write_manifest(filled, "r1")
    (found,) = check_store(filled).problems
    assert found.what == f"{filled.url}: jobs of 'Ana' are forgotten, but the forget list has no entry"
    assert "troupe forget --identity Ana" in found.remedy


def test_a_picture_without_digest_is_damaged(filled: Store) -> None:
    """No earlier version wrote pictures."""
    files = {name: f"cache/pictures/p1/{name}" for name in ("full.mp4", "poster.jpg")}
    puts = [filled.put_bytes(name.encode(), key) for name, key in files.items()]
    facts = FACTS | {"key": "p1", "outputs": {"full": files["full.mp4"]}, "poster": files["poster.jpg"]}
    filled.put_bytes(encode_record(facts, puts), record_key("cache/pictures/p1"))
    assert check_store(filled, deep=True).problems == ()
    record = json.loads(filled.read(record_key("cache/pictures/p1")))
    old = {name: value for name, value in record.items() if name not in ("files", "digest")}
    filled.replace(json.dumps(old).encode(), record_key("cache/pictures/p1"))
    (found,) = check_store(filled, repair=True).problems
    assert found.what.endswith("render.json is damaged: it has no digest")
    assert filled.list("cache/pictures") == []
