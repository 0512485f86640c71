"""catalogs.retention.forget: people who withdrew their consent."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from pathlib import Path

import pytest

from catalogs.consent.permission import Permission
from catalogs.consent.register import add_permissions, list_permissions
from catalogs.export.deliver import deliver
from catalogs.query.jobs import list_jobs
from catalogs.query.sql import sql
from catalogs.retention.forget import ForgetList, ForgetReport, forget
from catalogs.review.decision import Decision
from catalogs.review.decisions import Decisions
from catalogs.store.store import Store, open_store
from catalogs.table.exports import record_export
from catalogs.table.manifest import read_manifest, write_manifest
from catalogs.table.row_buffer import RowBuffer
from tests.catalogs.conftest import row
from tests.catalogs.export.conftest import render
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
        columns = {**render(store, key), "portrait_sha256": content, "appearance_key": appearance}
        columns["checksum"] = hashlib.sha256(f"full {key}".encode()).hexdigest()
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


def test_the_embeddings_of_the_person_are_deleted(folder_store: Store) -> None:
    faces = {"face": "QUJD", "face_recogniser": "e" * 64}
    add_permissions(folder_store, [Permission("R-1", "Ana", **faces), Permission("R-2", "Bo", **faces)])
    forget(folder_store, "ana", absent_ok=True)
    assert [one.face for one in list_permissions(folder_store)] == ["", "QUJD"]


def test_forgetting_twice_forgets_what_came_meanwhile(filled: Store) -> None:
    forget(filled, "Ana")
    assert forget(filled, "Ana") == ForgetReport(0, 0, ())
    with RowBuffer(filled, "r3") as buffer:
        buffer.append(row("r3", "late", identity="other", **render(filled, "k9"), portrait_sha256=ANA))
    assert forget(filled, "Ana") == ForgetReport(1, 1, ("r3",))
    (entry_key,) = filled.list("tombstones")
    assert json.loads(filled.read(entry_key))["portrait_sha256"] == [ANA]


def test_by_a_picture_alone(filled: Store) -> None:
    assert forget(filled, portraits=[BO]) == ForgetReport(1, 3, ("r1",))
    forget_list = ForgetList(filled)
    assert forget_list.refusal("anybody", BO) is not None
    assert forget_list.refusal("Bo", "") is None  # the label was not named
    assert forget_list.refusal("", "") is None


def test_nobody(filled: Store) -> None:
    for nobody in ("", "  "):
        with pytest.raises(SettingsError, match="name an identity"):
            forget(filled, nobody)


def test_an_absent_identity(filled: Store) -> None:
    for absent, near in (("x' OR '1'='1", "ls"), ("Anna", "did you mean 'Ana'?")):
        with pytest.raises(SettingsError, match=near) as caught:
            forget(filled, absent)
        assert absent in caught.value.message
        assert "--absent-ok" in caught.value.message
    with pytest.raises(SettingsError, match="portrait"):
        forget(filled, portraits=["c" * 64])
    assert ForgetList(filled).refusal("Anna", "") is None
    assert forget(filled, "Anna", absent_ok=True) == ForgetReport(0, 0, ())
    assert ForgetList(filled).refusal("anna", "") is not None
    assert forget(filled, "anna") == ForgetReport(0, 0, ())  # on the list


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("Olive", "olive"),
        (unicodedata.normalize("NFD", "Zo\u00eb M\u00fcller"), "zo\u00eb  m\u00fcller "),
        ("\uff21NA", "Ana"),
    ],
)
def test_every_spelling_of_an_identity(store: Store, written: str, asked: str) -> None:
    with RowBuffer(store, "r1") as buffer:
        buffer.append(row("r1", "one", identity=written, **render(store, "k1"), portrait_sha256=ANA))
    assert len(list_jobs(store, identity=asked)) == 1
    assert forget(store, asked) == ForgetReport(1, 1, ("r1",))
    assert list_jobs(store).column("identity").to_pylist() == [written]
    assert ForgetList(store).refusal("another label", ANA) is not None


def test_an_entry_of_an_earlier_version(folder_store: Store) -> None:
    label = "\u01f0an  Doe"  # the earlier form of the key kept the second space
    old = hashlib.sha256(unicodedata.normalize("NFKC", label).strip().casefold().encode()).hexdigest()
    entry = {"identity_sha256": old, "portrait_sha256": [], "forgotten_at": "2026-01-01T00:00:00+00:00"}
    folder_store.put_bytes(json.dumps(entry).encode(), "tombstones/x.json")
    assert ForgetList(folder_store).refusal(label, "") is not None


def test_a_damaged_entry_stops_the_run(store: Store) -> None:
    store.put_bytes(b"nonsense", "tombstones/x.json")
    with pytest.raises(StoreError, match="damaged"):
        ForgetList(store)


def test_exported_copies_are_named(filled: Store, tmp_path: Path) -> None:
    target = open_store(str(tmp_path / "delivery"))
    deliver(filled, list_jobs(filled, run="r1"), target)
    expected = (f"{target.url}/Ana/one.mp4",)
    assert forget(filled, "ana", dry_run=True).exported == expected
    assert forget(filled, "ana").exported == expected
    assert forget(filled, "ana").exported == expected  # also when asked again


def test_of_an_hls_copy_the_folder_is_named(filled: Store) -> None:
    """Its playlist alone is neither video nor sound; a poster may be in the folder, or beside another copy."""
    exported = [
        {"file": "Ana/welcome/master.m3u8", "package": "hls", "poster_file": "Ana/welcome/poster.jpg"},
        {"file": "Ana/welcome.mp4", "package": "mp4", "poster_file": "Ana/welcome.jpg"},
    ]
    record_export(filled, "s3://client/out", [{"run_id": "r1", "job_id": "one", **copy} for copy in exported])
    assert forget(filled, "ana", dry_run=True).exported == (
        "s3://client/out/Ana/welcome.jpg",
        "s3://client/out/Ana/welcome.mp4",
        "s3://client/out/Ana/welcome/",
    )


def test_what_was_said_about_a_forgotten_person_is_deleted(filled: Store) -> None:
    decisions, others = Decisions(filled), Decisions(filled)
    for key in ("k1", "k2", "k3"):
        said = [Decision("Cy", "film", key, "rejected", "eyes"), Decision("Cy", "film", key, "comment", comment="Ana!")]
        decisions.add_all(said)
    assert len(others.all()) == 6
    forget(filled, "Ana")
    assert {decision.key for decision in others.all()} == {"k2"} == {d.key for d in Decisions(filled).all()}
    assert {row["job_id"]: row["review"] for row in list_jobs(filled).to_pylist()} == {
        "one": None,
        "two": "rejected",
        "three": None,
    }
