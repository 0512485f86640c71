"""catalogs.retention.forget: people who withdrew their consent."""

from __future__ import annotations

import json

import pytest

from catalogs.query.jobs import list_jobs
from catalogs.query.sql import sql
from catalogs.retention.forget import ForgetList, ForgetReport, forget
from catalogs.store.store import Store
from catalogs.table.manifest import read_manifest, write_manifest
from catalogs.table.row_buffer import RowBuffer
from tests.catalogs.conftest import row
from tests.catalogs.export.test_deliver import render
from troupe.errors import SettingsError, StoreError

ANA, BO = "a" * 64, "b" * 64


@pytest.fixture
def filled(store: Store) -> Store:
    """Ana in two runs, once under another name; and Bo."""
    for key in ("app-a", "app-b"):
        store.put_bytes(b"x", f"cache/appearance/{key}.safetensors")
        store.put_bytes(b"x", f"cache/appearance/{key}.jpg")
    store.put_bytes(b"{}", "renders/k1/render.json")
    for run, job, identity, content, key in (
        ("r1", "one", "Ana", ANA, "k1"),
        ("r1", "two", "Bo", BO, "k2"),
        ("r2", "three", "star", ANA, "k3"),
    ):
        appearance = "app-a" if content == ANA else "app-b"
        columns = {**render(store, key), "portrait_sha256": content, "appearance_key": appearance, "checksum": "c"}
        if key == "k1":
            store.put_bytes(b"x", "renders/k1/master.mov")
            columns["master_uri"] = store.uri("renders/k1/master.mov")
        with RowBuffer(store, run) as buffer:
            buffer.append(row(run, job, identity=identity, **columns))
        write_manifest(store, run)
    return store


def test_forgetting(filled: Store) -> None:
    expected = ForgetReport(jobs=2, files=6, runs=("r1", "r2"))
    everything = filled.list()
    assert forget(filled, "Ana", dry_run=True) == expected
    assert filled.list() == everything
    assert forget(filled, "Ana") == expected
    left = filled.list()
    assert [key for key in left if key.startswith(("renders", "cache"))] == [
        "cache/appearance/app-b.jpg",
        "cache/appearance/app-b.safetensors",
        "renders/k2/full.mp4",
    ]
    rows = {entry["job_id"]: entry for entry in list_jobs(filled).to_pylist()}
    assert {job: entry["status"] for job, entry in rows.items()} == {
        "one": "forgotten",
        "two": "done",
        "three": "forgotten",
    }
    assert rows["one"]["identity"] == "Ana"
    for column in ("full_uri", "portrait", "render_key", "appearance_key", "checksum"):
        assert rows["one"][column] is None
        assert rows["two"][column]
    assert rows["one"]["master_uri"] is None
    assert read_manifest(filled, "r2").column("status").to_pylist() == ["forgotten"]
    assert sql(filled, "SELECT job_id FROM jobs WHERE full_uri IS NOT NULL").column(0).to_pylist() == ["two"]


def test_the_forget_list(filled: Store) -> None:
    assert ForgetList(filled).refusal("Ana", ANA) is None
    forget(filled, "Ana")
    (entry_key,) = filled.list("tombstones")
    assert "Ana" not in entry_key
    assert "Ana" not in filled.read(entry_key).decode()
    forget_list = ForgetList(filled)
    for identity, content in (("Ana", BO), (" ana", ""), ("someone", ANA), ("", ANA)):
        refusal = forget_list.refusal(identity, content)
        assert refusal is not None
        assert "withdrew" in refusal.message
    assert forget_list.refusal("Bo", BO) is None
    assert forget_list.refusal("", "") is None


def test_forgetting_twice_forgets_what_came_meanwhile(filled: Store) -> None:
    forget(filled, "Ana")
    assert forget(filled, "Ana") == ForgetReport(0, 0, ())
    with RowBuffer(filled, "r3") as buffer:
        buffer.append(row("r3", "late", identity="other", **render(filled, "k9"), portrait_sha256=ANA))
    assert forget(filled, "Ana") == ForgetReport(1, 1, ("r3",))
    (entry_key,) = filled.list("tombstones")
    assert json.loads(filled.read(entry_key))["portrait_sha256"] == [ANA]


def test_by_a_picture_alone(filled: Store) -> None:
    assert forget(filled, portrait=BO) == ForgetReport(1, 3, ("r1",))
    forget_list = ForgetList(filled)
    assert forget_list.refusal("anybody", BO) is not None
    assert forget_list.refusal("Bo", "") is None  # the label was not named
    assert forget_list.refusal("", "") is None


def test_nobody(filled: Store) -> None:
    for nobody in ("", "  "):
        with pytest.raises(SettingsError, match="name an identity"):
            forget(filled, nobody)
    assert forget(filled, "x' OR '1'='1") == ForgetReport(0, 0, ())


def test_a_damaged_entry_stops_the_run(store: Store) -> None:
    store.put_bytes(b"nonsense", "tombstones/x.json")
    with pytest.raises(StoreError, match="damaged"):
        ForgetList(store)
