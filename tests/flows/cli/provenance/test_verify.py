"""`troupe credentials` and `troupe verify`."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from catalogs.store.store import open_store
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.schema import make_row
from tasks.credentials.manifest import Generation, sign_file
from tasks.credentials.settings import SigningSettings
from tasks.credentials.signer import Signer
from tasks.media.provenance import VideoMetadata
from tests.flows.cli.conftest import NOW, troupe
from troupe import Job
from troupe.files import file_sha256


def test_a_test_authority_signs_and_says_what_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    made = troupe("credentials", "init", str(folder), "--name", "Ada's studio")
    assert made.exit_code == 0
    assert made.stdout.split() == [f"{folder}/{name}" for name in ("key.pem", "certificate.pem", "root.pem")]
    assert "nobody else trusts its signatures" in made.stderr
    assert troupe("credentials", "init", str(folder)).exit_code == 2
    picture, signed = tmp_path / "picture.png", tmp_path / "signed.png"
    Image.new("RGB", (8, 8)).save(picture)
    signer = Signer(SigningSettings(folder / "certificate.pem", folder / "key.pem"))
    sign_file(signer, picture, signed, Generation("r1", "one", "p", "w", "", []), composite=False)
    found = troupe("verify", str(signed), "--trust", str(folder / "root.pem"))
    assert (found.exit_code, found.stdout.splitlines()[:3]) == (
        0,
        [f"{signed}: verified", "  signature: trusted", "  signer: Ada's studio"],
    )
    # One bad file does not stop the others, and the worst one counts.
    all_of_them = troupe("verify", str(tmp_path / "no.mp4"), str(picture), str(signed), "--json")
    assert all_of_them.exit_code == 9
    assert [one["state"] for one in json.loads(all_of_them.stdout)] == ["unreadable", "unknown", "untrusted"]


def test_how_the_store_knows_a_file_and_its_films_in_the_words_of_the_docs(tmp_path: Path) -> None:
    store, film, package = open_store(str(tmp_path / "store")), tmp_path / "film.txt", tmp_path / "package.txt"
    film.write_text("a film")
    package.write_text(VideoMetadata("r1", "hi.en, hi.fr, hi.de").comment)
    with RowBuffer(store, "r1") as buffer:
        for job, checksum, status in (("hi.en", file_sha256(film), "done"), ("hi.fr", "00", "forgotten")):
            made = Job(job, "/p/ada.png", "/c/wave.mp4", language=job[-2:], consent=f"c-{job[-2:]}")
            columns = {"checksum": checksum}
            buffer.append(make_row("r1", made, status, started_at=NOW, finished_at=NOW, **columns))  # type: ignore[arg-type]
    found = troupe("verify", str(film), "--store", store.url)
    assert "  in the store by: content\n" in found.stdout
    found = troupe("verify", str(package), "--store", store.url)
    assert found.exit_code == 7
    assert "  in the store by: run and job\n" in found.stdout
    assert "  why: the person shown withdrew the permission of 1 of its 3 films: hi.fr (fr)\n" in found.stdout
    assert found.stdout.splitlines()[-3:] == [
        "  film en: job hi.en, consent c-en, job's status done, permission today unregistered",
        "  film fr: job hi.fr, consent c-fr, job's status forgotten, permission today withdrawn",
        "  film of unknown language: job hi.de, permission today unknown",
    ]


def test_certificates_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n")
    for name in ("missing.pem", "text"):
        refused = troupe("verify", str(tmp_path), "--trust", str(tmp_path / name))
        assert refused.exit_code == 2, name
