"""Signed packages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from catalogs.consent.permission import Permission
from catalogs.consent.register import add_permissions
from catalogs.query.jobs import list_jobs
from catalogs.retention.revoke import revoke
from catalogs.store.store import Store, open_store
from catalogs.table.row_buffer import RowBuffer
from tasks.credentials.manifest import Generation, Ingredient, sign_file
from tasks.credentials.settings import SigningSettings
from tasks.credentials.signer import Signer
from tasks.credentials.verify import Verification, verify_file
from tasks.delivery import PackagesReport, deliver_packages
from tests.catalogs.conftest import row
from tests.films import write_films
from tests.tasks.credentials.conftest import authority, signer
from troupe.files import file_sha256

__all__ = ["authority", "signer"]


@pytest.fixture
def store(tmp_path: Path, signer: Signer) -> Store:
    """A store with two films of one picture, of which the first is signed."""
    store = open_store(str(tmp_path / "store"))
    (tmp_path / "films").mkdir()
    films = write_films(tmp_path / "films", frames=25)
    portrait = [Ingredient("portrait", tmp_path / "ada.png", "ada.png", "ab" * 32)]
    signed = tmp_path / "signed.mp4"
    sign_file(signer, films["en"], signed, Generation("r1", "hi.en", "p1", "", "c-en", portrait), composite=True)
    for tag, path in (("en", signed), ("fr", films["fr"])):
        store.put(path, f"renders/key-{tag}/full.mp4")
        made = row("r1", f"hi.{tag}", identity="Ada") | {
            "render_key": f"key-{tag}",
            "picture_key": "p1",
            "full_uri": store.uri(f"renders/key-{tag}/full.mp4"),
            "checksum": file_sha256(path),
            "language": tag,
            "consent": f"c-{tag}",
            "portrait": "/p/ada.png",
            "portrait_sha256": "ab" * 32,
            "frames": 25,
            "seconds": 1.0,
        }
        with RowBuffer(store, "r1") as buffer:
            buffer.append(made)
    return store


def pack(store: Store, out: Path, kind: Any, signer: Signer | None) -> tuple[PackagesReport, dict[str, Any]]:
    done = deliver_packages(store, list_jobs(store), open_store(str(out)), kind, signer=signer)
    (entry,) = map(json.loads, (out / "packages.jsonl").read_text().splitlines())
    return done, entry


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_a_package_is_signed_once(store: Store, signer: Signer, authority: Path, tmp_path: Path, kind: str) -> None:
    out, trust = tmp_path / "out", (authority / "root.pem").read_text()
    done, entry = pack(store, out, kind, signer)
    assert (done.created, done.missing, entry["signature"], entry["signer"]) == (1, (), "signed", signer.subject)
    found = verify_file(out / f"Ada/hi.{kind}", store, trust)
    assert (found.state, found.signature, found.generated) == (
        "verified",
        "trusted",
        "compositeWithTrainedAlgorithmicMedia",
    )
    assert (found.run_id, found.job_id, found.match) == ("r1", "hi.en", "claims")
    assert len(found.history) == 1  # the signed film's
    files = {path.name: path.read_bytes() for path in (out / "Ada").iterdir()}
    assert set(files) == ({"hi.mp4"} if kind == "mp4" else {"hi.mkv", "hi.c2pa"})
    # The same again, also where the export before was interrupted before it listed its packages.
    for lists in ((), ("packages.jsonl", "manifest.parquet", "manifest.csv")):
        for name in lists:
            (out / name).unlink()
        done, again = pack(store, out, kind, signer)
        assert (done.created, done.unchanged, again) == (0, 1, entry)
        assert files == {path.name: path.read_bytes() for path in (out / "Ada").iterdir()}


def in_it(found: Verification) -> list[tuple[str, ...]]:
    return [(film.language, film.job_id, film.consent, film.status, str(film.permission)) for film in found.films]


@pytest.mark.parametrize("signs", [True, False], ids=["signed", "unsigned"])
def test_a_package_is_withdrawn_with_any_of_its_films(
    store: Store, signer: Signer, authority: Path, tmp_path: Path, signs: bool
) -> None:
    """A signed package names its films in the manifest, an unsigned one its jobs in the comment."""
    trust, package = (authority / "root.pem").read_text(), tmp_path / "out/Ada/hi.mp4"
    add_permissions(store, [Permission("c-en", "Ada"), Permission("c-fr", "Ada")])
    pack(store, tmp_path / "out", "mp4", signer if signs else None)
    found = verify_file(package, store, trust)
    assert (found.state, found.permission) == ("verified" if signs else "unsigned", "valid")
    assert in_it(found) == [("en", "hi.en", "c-en", "done", "valid"), ("fr", "hi.fr", "c-fr", "done", "valid")]
    revoke(store, "c-fr", "by letter")
    found = verify_file(package, store, trust)
    assert (found.state, found.permission) == ("withdrawn", "withdrawn")
    assert found.reason == "the person shown withdrew the permission of 1 of its 2 films: hi.fr (fr)"
    assert in_it(found) == [
        ("en", "hi.en", "c-en", "done", "valid"),
        ("fr", "hi.fr", "c-fr", "forgotten", "withdrawn"),
    ]


def test_a_signed_package_says_what_is_in_it_without_a_store(store: Store, signer: Signer, tmp_path: Path) -> None:
    pack(store, tmp_path / "out", "mkv", signer)
    found = verify_file(tmp_path / "out/Ada/hi.mkv")
    assert in_it(found) == [("en", "hi.en", "c-en", "", "None"), ("fr", "hi.fr", "c-fr", "", "None")]
    assert (found.portrait, found.driving) == ("ada.png", "wave.mp4")
    assert found.portrait_sha256 == "ab" * 32
    assert found.history == ("hi.en.mp4",)


def test_a_package_of_an_earlier_version_is_known_by_the_manifests_of_its_films(
    store: Store, signer: Signer, authority: Path, tmp_path: Path
) -> None:
    """Its own manifest does not list them; one without a manifest is looked up by its content."""
    films = [tmp_path / "signed.mp4", tmp_path / "films/fr.mp4"]
    ingredients = [Ingredient(f"film-{n}", path, "full.mp4", file_sha256(path)) for n, path in enumerate(films, 1)]
    package = tmp_path / "package.mp4"
    sign_file(signer, films[1], package, Generation("r1", "hi.en", "p1", "", "c-en", ingredients, "k"), composite=True)
    found = verify_file(package)
    assert in_it(found) == [("", "hi.en", "c-en", "", "None"), ("", "", "", "", "None")]
    found = verify_file(package, store, (authority / "root.pem").read_text())
    assert [film[:4] for film in in_it(found)] == [("en", "hi.en", "c-en", "done"), ("fr", "hi.fr", "c-fr", "done")]
    add_permissions(store, [Permission("c-en", "Ada")])
    revoke(store, "c-en", "by letter")
    assert verify_file(package, store).state == "withdrawn"


def test_hls_is_not_signed(store: Store, signer: Signer, tmp_path: Path) -> None:
    done, entry = pack(store, tmp_path / "out", "hls", signer)
    assert (entry["signature"], entry["signer"]) == ("unsigned", None)
    assert done.notes == ("nothing was signed: HLS cannot contain Content Credentials; choose mp4 or mkv",)


def test_films_that_lose_their_signature(store: Store, tmp_path: Path) -> None:
    done, _ = pack(store, tmp_path / "out", "mp4", None)
    assert done.notes == ()
    rows = list_jobs(store).to_pylist()
    signed = pa.Table.from_pylist([row | {"signature": "signed"} for row in rows[:1]] + rows[1:])
    done = deliver_packages(store, signed, open_store(str(tmp_path / "other")), "mp4")
    assert done.notes == ("1 of 2 films is signed, and the packages are not: name a signer with --credentials",)


def test_a_signer_that_fails(store: Store, authority: Path, tmp_path: Path) -> None:
    signer = Signer(SigningSettings(authority / "certificate.pem", command="false"))
    done = deliver_packages(store, list_jobs(store), open_store(str(tmp_path / "out")), "mp4", signer=signer)
    assert (done.created, len(done.missing)) == (0, 1)
    assert done.missing[0].startswith("Ada/hi")
    assert not (tmp_path / "out/Ada").exists()
