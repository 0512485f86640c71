"""tasks.delivery: the films of a store as packages."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import av
import pyarrow.parquet as pq
import pytest

from catalogs.events.event import audit_event
from catalogs.export.deliver import deliver
from catalogs.query.jobs import list_jobs
from catalogs.query.sql import sql
from catalogs.store.store import Store, open_store
from catalogs.table.audit import read_audit
from tasks.delivery import deliver_packages
from tests.films import TONES, stream_md5
from tests.tasks.delivery.conftest import LISTS, Catalog, entries, files, languages
from troupe.errors import SettingsError, StoreError


def test_films_of_one_picture_are_one_package(welcome: Catalog, films: dict[str, Path], tmp_path: Path) -> None:
    out, seen = tmp_path / "out", list[tuple[int, int]]()
    done = welcome.pack(out, default_language="fr", on_progress=lambda *counts: seen.append(counts))
    assert (done.created, done.unchanged, done.films, done.notes, done.missing) == (1, 0, 3, (), ())
    assert seen == [(0, 3), (3, 3)]
    assert files(out) == {"Ada/welcome.mp4", *LISTS}
    assert languages(out / "Ada/welcome.mp4") == ["eng", "fra", "por"]
    assert stream_md5(out / "Ada/welcome.mp4", "video") == stream_md5(films["en"], "video")
    (entry,) = entries(out)
    data = (out / "Ada/welcome.mp4").read_bytes()
    assert entry["files"] == [
        {"file": "Ada/welcome.mp4", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    ]
    assert (entry["languages"], entry["default_language"]) == (list(TONES), "fr")
    assert entry["signature"] == "unsigned"
    assert [track["job_id"] for track in entry["tracks"]] == [f"welcome.{tag}" for tag in TONES]
    manifest = pq.read_table(done.manifest)
    assert manifest.column_names[:4] == ["file", "package", "track", "schema_version"]
    assert manifest.column("track").to_pylist() == ["English, en", "French, fr", "Portuguese (Brazil), pt-BR"]
    recorded = sql(welcome.store, "SELECT file, package, job_id FROM exports ORDER BY job_id").to_pylist()
    assert recorded == [{"file": "Ada/welcome.mp4", "package": "mp4", "job_id": f"welcome.{tag}"} for tag in TONES]


def test_a_second_export_changes_nothing_and_a_further_language_is_a_new_package(
    welcome: Catalog, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    welcome.pack(out)
    before = {name: (out / name).read_bytes() for name in files(out)}
    again = welcome.pack(out)
    assert (again.created, again.unchanged) == (0, 1)
    assert {name: (out / name).read_bytes() for name in files(out)} == before
    assert len(sql(welcome.store, "FROM exports")) == 3
    welcome.add("welcome.de", "en", "de")
    assert welcome.pack(out).created == 1
    assert languages(out / "Ada/welcome-2.mp4") == ["deu", "eng", "fra", "por"]
    assert before["Ada/welcome.mp4"] == (out / "Ada/welcome.mp4").read_bytes()
    assert [entry["file"] for entry in entries(out)] == ["Ada/welcome-2.mp4", "Ada/welcome.mp4"]
    assert len(pq.read_table(out / "manifest.parquet")) == 7


def test_single_videos_and_packages_in_one_folder(welcome: Catalog, tmp_path: Path) -> None:
    out = tmp_path / "out"
    deliver(welcome.store, list_jobs(welcome.store), open_store(str(out)))
    welcome.pack(out, name="{identity}/{job_id}")
    deliver(welcome.store, list_jobs(welcome.store), open_store(str(out)))
    assert files(out) == {"Ada/welcome.mp4", *(f"Ada/welcome.{tag}.mp4" for tag in TONES), *LISTS}
    manifest = pq.read_table(out / "manifest.parquet").select(["file", "package"]).to_pylist()
    assert [entry["package"] for entry in manifest] == [None, None, "mp4", "mp4", "mp4", None]


def test_hls_in_a_bucket(welcome: Catalog, s3: str) -> None:
    target = open_store("s3://cast/hls")
    done = welcome.pack("s3://cast/hls", "hls")
    assert (done.created, done.missing) == (1, ())
    keys = target.list()
    assert "Ada/welcome/master.m3u8" in keys
    (entry,) = [json.loads(line) for line in target.read("packages.jsonl").splitlines()]
    assert {file["file"] for file in entry["files"]} == set(keys) - LISTS
    assert welcome.pack("s3://cast/hls", "hls").unchanged == 1


def test_hls_is_playable_only_when_it_is_whole(
    welcome: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, put = tmp_path / "out", Store.put

    def failing(self: Store, local: Path, key: str, sha256: str = "") -> Any:
        if key.endswith("audio-pt-BR/playlist.m3u8"):
            raise StoreError("the disk is gone")
        return put(self, local, key, sha256)

    monkeypatch.setattr(Store, "put", failing)
    with pytest.raises(StoreError):
        welcome.pack(out, "hls")
    assert not {"Ada/welcome/master.m3u8", *LISTS} & files(out)
    monkeypatch.undo()
    assert welcome.pack(out, "hls").created == 1
    assert "Ada/welcome/master.m3u8" in files(out)


def test_films_whose_pictures_differ_are_packages_of_their_own(welcome: Catalog, tmp_path: Path) -> None:
    welcome.add("welcome.de", "long", "de", fit="hold")
    welcome.add("welcome.none", "silent", None, audio="none")
    done = welcome.pack(tmp_path / "out")
    assert (done.created, done.films, done.missing) == (3, 5, ())
    assert languages(tmp_path / "out/Ada/welcome.mp4") == ["deu"]
    assert languages(tmp_path / "out/Ada/welcome-2.mp4") == ["eng", "fra", "por"]
    assert languages(tmp_path / "out/Ada/welcome-3.mp4") == []
    assert done.notes[-1] == (
        "3 packages, because the videos of the films differ: Ada/welcome.mp4 (de, 1.20 s), "
        "Ada/welcome-2.mp4 (en, fr, pt-BR, 1.00 s), Ada/welcome-3.mp4 (without sound, 1.00 s)"
    )
    assert welcome.pack(tmp_path / "out").unchanged == 3


def test_a_package_is_not_written_without_one_of_its_films(welcome: Catalog, tmp_path: Path) -> None:
    welcome.add("hello", "en", "en", picture_key="p2")
    welcome.store.replace(b"damaged", "renders/key-r1-welcome.fr/full.mp4")
    done = welcome.pack(tmp_path / "out")
    assert files(tmp_path / "out") == {"Ada/hello.mp4", *LISTS}
    assert done.missing[0].startswith("welcome.fr: ")
    assert "is damaged" in done.missing[0]
    assert (
        done.missing[1]
        == "Ada/welcome.mp4: not written, because films of it are missing; left out: welcome.en, welcome.pt-BR"
    )


def test_languages_that_are_repeated_or_unknown_are_named(welcome: Catalog, tmp_path: Path) -> None:
    welcome.add("loud", "fr", "fr")
    welcome.add("loud", "fr", "fr", "r2")
    welcome.add("other", "en", None)
    done = welcome.pack(tmp_path / "out", name="all")
    (entry,) = entries(tmp_path / "out")
    assert [track["title"] for track in entry["tracks"]] == [
        "French (r1/loud), fr",
        "Unknown language",
        "English, en",
        "French (welcome.fr), fr",
        "Portuguese (Brazil), pt-BR",
        "French (r2/loud), fr",
    ]
    assert done.notes == (
        "all.mp4: 3 films are in fr, and their tracks are named by job: r1/loud, welcome.fr, r2/loud",
        "all.mp4: the language of other is unknown (und); set language in the jobs",
    )


def test_notes_about_tracks_are_those_of_their_package(welcome: Catalog, tmp_path: Path) -> None:
    """Films of one language in packages of their own: each track has its plain name."""
    welcome.add("welcome.fr2", "long", "fr", fit="hold")
    done = welcome.pack(tmp_path / "out")
    assert [note for note in done.notes if "named by job" in note] == []
    titles = [[track["title"] for track in entry["tracks"]] for entry in entries(tmp_path / "out")]
    assert sorted(titles) == [["English, en", "French, fr", "Portuguese (Brazil), pt-BR"], ["French, fr"]]
    welcome.add("other", "long", None, picture_key="p2")
    done = welcome.pack(tmp_path / "out")
    noted = {entry["file"]: entry["notes"] for entry in entries(tmp_path / "out")}
    assert noted["Ada/other.mp4"] == ["the language of other is unknown (und); set language in the jobs"]


@pytest.mark.parametrize("kind", ["mp4", "hls"])
def test_the_record_counts_films_and_packages(welcome: Catalog, tmp_path: Path, kind: str) -> None:
    welcome.add("welcome.de", "long", "de", fit="hold")
    done = welcome.pack(tmp_path / "out", kind)
    (entry,) = (entry for entry in read_audit(welcome.store) if entry.event == "export")
    assert (entry.facts["files"], entry.facts["packages"]) == (4, 2)
    assert (done.created, done.recorded) == (2, 4)
    assert welcome.pack(tmp_path / "out", kind).recorded == 0
    event = audit_event(welcome.store, entry)
    assert event is not None
    assert (event.type, event.data["files"], event.data["packages"]) == ("export.completed", 4, 2)


def test_rows_of_one_film_are_one_track(welcome: Catalog, tmp_path: Path) -> None:
    welcome.add("welcome.fr", "fr", "fr", "r2", render_key="key-r1-welcome.fr", status="reused")
    assert welcome.pack(tmp_path / "out").films == 3
    rows = pq.read_table(tmp_path / "out/manifest.parquet").select(["run_id", "job_id"]).to_pylist()
    assert {"run_id": "r2", "job_id": "welcome.fr"} in rows


def test_films_without_a_picture_and_their_identity(catalog: Catalog, tmp_path: Path) -> None:
    for tag in TONES:  # as version 3 rendered them
        catalog.add(f"old.{tag}", tag, tag, picture_key=None)
    done = catalog.pack(tmp_path / "out")
    assert done.created == 3
    assert files(tmp_path / "out") == {"Ada/old.mp4", "Ada/old-2.mp4", "Ada/old-3.mp4", *LISTS}


def test_subtitles_and_their_checksums(catalog: Catalog, films: dict[str, Path], tmp_path: Path) -> None:
    for tag in TONES:
        key = f"renders/key-r1-welcome.{tag}/subtitles.vtt"
        catalog.store.put(films[f"{tag}.vtt"], key)
        catalog.add(f"welcome.{tag}", tag, tag)
    rows = list_jobs(catalog.store).to_pylist()
    for entry in rows:
        entry["subtitles_vtt_uri"] = catalog.store.uri(f"renders/{entry['render_key']}/subtitles.vtt")
        entry["subtitles_language"] = "de" if entry["language"] == "fr" else None
    import pyarrow as pa

    deliver_packages(catalog.store, pa.Table.from_pylist(rows), open_store(str(tmp_path / "out")), "mkv")
    with av.open(str(tmp_path / "out/Ada/welcome.mkv")) as container:
        assert [stream.language for stream in container.streams.subtitles] == ["eng", "ger", "por"]
    assert entries(tmp_path / "out")[0]["subtitles"] == ["en", "de", "pt-BR"]


def test_the_default_language(welcome: Catalog, tmp_path: Path) -> None:
    welcome.add("hello", "en", "en", picture_key="p2")
    for wanted, near in (("pt-PT-x", "pt-BR"), ("de", "en, fr, pt-BR"), ("français", "fr")):
        with pytest.raises(SettingsError, match=f"no film is in the default language '{wanted}'.*{near}"):
            welcome.pack(tmp_path / "out", default_language=wanted)
    assert not (tmp_path / "out").exists()
    done = welcome.pack(tmp_path / "out", default_language="pt")  # the same language, in another region
    assert done.notes == ("Ada/hello.mp4: there is no film in pt, so that en is the default",)
    assert [entry["default_language"] for entry in entries(tmp_path / "out")] == ["en", "pt-BR"]


def test_names_that_no_package_can_have(welcome: Catalog, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="welcome: language is en and fr and pt-BR"):
        welcome.pack(tmp_path / "out", name="{language}/{job_id}")
    (tmp_path / "out/Ada").mkdir(parents=True)
    (tmp_path / "out/Ada/welcome.mp4").write_text("mine")
    with pytest.raises(SettingsError, match="is another file"):
        welcome.pack(tmp_path / "out")
    assert (tmp_path / "out/Ada/welcome.mp4").read_text() == "mine"
