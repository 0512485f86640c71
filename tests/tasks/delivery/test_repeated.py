"""tasks.delivery: exports that are repeated, fail or are stopped."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from catalogs.query.sql import sql
from catalogs.store.store import Store
from tests.films import TONES
from tests.tasks.delivery.conftest import LISTS, Catalog, entries, files
from troupe.errors import Cancelled, SettingsError, StoreError


@pytest.mark.parametrize("kind", ["mp4", "mkv", "hls"])
def test_films_that_another_run_reused_are_the_same_package(welcome: Catalog, tmp_path: Path, kind: str) -> None:
    """A package names the run that made it; exported again after a nightly run, it is unchanged, and so is its list."""
    out = tmp_path / "out"
    welcome.pack(out, kind)
    before, listed = {name: (out / name).read_bytes() for name in files(out) - LISTS}, entries(out)
    for tag in TONES:
        welcome.add(f"welcome.{tag}", tag, tag, "r2", render_key=f"key-r1-welcome.{tag}", status="reused")
    again = welcome.pack(out, kind)
    assert (again.created, again.unchanged, again.recorded, again.missing) == (0, 1, 0, ())
    assert {name: (out / name).read_bytes() for name in files(out) - LISTS} == before
    assert entries(out) == listed
    assert {row["run_id"] for row in pq.read_table(out / "manifest.parquet").to_pylist()} == {"r2"}
    # One of its files is gone: it is written as it was.
    (out / listed[0]["files"][0]["file"]).unlink()
    assert welcome.pack(out, kind).created == 1
    assert {name: (out / name).read_bytes() for name in files(out) - LISTS} == before


def test_an_export_that_was_killed_is_continued_after_another_run(welcome: Catalog, tmp_path: Path) -> None:
    """Its package is in no list; its comment says which runs it names."""
    out = tmp_path / "out"
    welcome.pack(out)
    before = (out / "Ada/welcome.mp4").read_bytes()
    for name in LISTS:
        (out / name).unlink()
    for tag in TONES:
        welcome.add(f"welcome.{tag}", tag, tag, "r2", render_key=f"key-r1-welcome.{tag}", status="reused")
    latest = welcome.pack(out, run="r2")
    assert (latest.created, latest.unchanged, latest.films) == (0, 1, 3)
    assert (out / "Ada/welcome.mp4").read_bytes() == before


def test_films_of_one_language_are_named_by_their_first_run(welcome: Catalog, tmp_path: Path) -> None:
    """So that a nightly run does not make another package every night."""
    welcome.add("welcome.fr", "en", "fr", "r2")
    welcome.pack(tmp_path / "out")
    welcome.add("welcome.fr", "en", "fr", "r3", render_key="key-r2-welcome.fr", status="reused")
    assert welcome.pack(tmp_path / "out").unchanged == 1
    (entry,) = entries(tmp_path / "out")
    assert [track["title"] for track in entry["tracks"] if track["language"] == "fr"] == [
        "French (r1/welcome.fr), fr",
        "French (r2/welcome.fr), fr",
    ]


def recorded(catalog: Catalog) -> set[str]:
    return {str(row["file"]) for row in sql(catalog.store, "FROM exports").to_pylist()}


def failing_at(monkeypatch: pytest.MonkeyPatch, end: str, error: Exception) -> None:
    """Let a store fail at files whose names end so."""
    put = Store.put

    def failing(self: Store, local: Path, key: str, sha256: str = "") -> Any:
        if key.endswith(end):
            raise error
        return put(self, local, key, sha256)

    monkeypatch.setattr(Store, "put", failing)


@pytest.mark.parametrize("kind", ["mp4", "hls"])
def test_what_was_written_is_recorded_where_an_export_fails(
    welcome: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Also of HLS, of which there are files that cannot be played yet."""
    out = tmp_path / "out"
    welcome.add("hello", "en", "en", picture_key="p2")
    failing_at(monkeypatch, "welcome.mp4" if kind == "mp4" else "welcome/master.m3u8", StoreError("the disk is full"))
    with pytest.raises(StoreError, match="the disk is full"):
        welcome.pack(out, kind)
    hello = "Ada/hello.mp4" if kind == "mp4" else "Ada/hello/master.m3u8"
    assert [entry["file"] for entry in entries(out)] == [hello]
    assert pq.read_table(out / "manifest.parquet").column("file").to_pylist() == [hello]
    assert recorded(welcome) == ({hello} if kind == "mp4" else {hello, "Ada/welcome/master.m3u8"})
    monkeypatch.undo()
    done = welcome.pack(out, kind)
    assert (done.created, done.unchanged, len(entries(out))) == (1, 1, 2)


def test_what_was_written_is_recorded_where_an_export_is_stopped(
    welcome: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package in progress is finished, further ones are not begun."""
    monkeypatch.setattr("catalogs.export.written._THREADS", 1)
    for number in range(3):
        welcome.add(f"other-{number}", "en", "en", picture_key=f"q{number}")

    def stop(done: int, _: int) -> None:
        if done == 1:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Cancelled, match="is recorded"):
        welcome.pack(tmp_path / "out", on_progress=stop)
    written = files(tmp_path / "out") - LISTS
    assert 1 <= len(written) < 4
    assert recorded(welcome) == written == {entry["file"] for entry in entries(tmp_path / "out")}


def test_names_that_others_have_are_refused_before_anything_is_written(welcome: Catalog, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for number in range(2):
        welcome.add(f"other-{number}", "en", "en", picture_key=f"q{number}")
        (out / "Ada").mkdir(parents=True, exist_ok=True)
        (out / f"Ada/other-{number}.mp4").write_text("mine")
    with pytest.raises(SettingsError, match=r"other-0\.mp4, .*other-1\.mp4 are 2 other files; choose another folder"):
        welcome.pack(out)
    assert files(out) == {"Ada/other-0.mp4", "Ada/other-1.mp4"}
    assert recorded(welcome) == set()


def test_a_damaged_film_withholds_only_its_own_package(welcome: Catalog, tmp_path: Path) -> None:
    welcome.add("welcome.de", "long", "de", fit="hold")
    welcome.store.replace(b"damaged", "renders/key-r1-welcome.fr/full.mp4")
    done = welcome.pack(tmp_path / "out")
    assert (done.created, done.films) == (1, 1)
    assert [entry["languages"] for entry in entries(tmp_path / "out")] == [["de"]]
    assert [line.split(": ")[0] for line in done.missing] == ["welcome.fr", "Ada/welcome.mp4"]
    assert done.missing[1].endswith("left out: welcome.en, welcome.pt-BR")
