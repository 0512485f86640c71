"""`troupe export`."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from catalogs.query.sql import sql
from catalogs.retention.store_policy import change_policy
from catalogs.review.decision import Decision
from catalogs.review.decisions import Decisions
from catalogs.store.store import open_store
from catalogs.table.audit import read_audit
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.schema import make_row
from tests.films import write_films
from tests.flows.cli.conftest import NOW, troupe
from troupe import Job


@pytest.mark.parametrize(
    ("words", "files"),
    [
        (["latest"], {"ada/one.mp4", "bob/two.mp4"}),
        (["r1", "--name", "{job_id}_{language}.mp4"], {"one_en.mp4", "two_unknown.mp4"}),
        (["all", "--identity", "ada"], {"ada/one.mp4"}),
        (["all", "--tag", "scene"], {"ada/one.mp4"}),
        (["SELECT * FROM jobs WHERE seed = 7"], {"bob/two.mp4"}),
    ],
)
def test_export(delivered: str, tmp_path: Path, words: list[str], files: set[str]) -> None:
    what, *more = words
    result = troupe("export", what, str(tmp_path / "out"), "--store", delivered, *more)
    assert result.exit_code == 0, result.output
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.mp4")}
    assert found == files
    assert set(pq.read_table(result.stdout.strip()).column("file").to_pylist()) == files


def test_credentials_sign_packages_only(delivered: str, tmp_path: Path) -> None:
    words = ["export", "all", str(tmp_path / "out"), "--store", delivered]
    result = troupe(*words, "--credentials", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert "note: 2 of 2 videos are not signed, and --credentials signs packages only" in result.stderr
    assert "not signed" not in troupe(*words).stderr


def test_invalid_exports(delivered: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    for words, message in (
        (["r9", out], "no finished videos of r9"),
        (["all", out, "--name", "../{job_id}"], "leads out"),
        (["SELECT identity FROM jobs", out], "must select the columns run_id and job_id"),
        (["SELECT nonsense", out], "the query failed"),
        (["all", out, "--default-language", "en"], "add --package"),
        (["all", out, "--package", "mkv", "--masters"], "leave out --package"),
        (["all", out, "--package", "mkv", "--default-language", "eng-"], "no film is in the default language 'eng-'"),
    ):
        result = troupe("export", *words, "--store", delivered)
        assert (result.exit_code, message in result.stderr) == (2, True), result.output
    change_policy(open_store(delivered), {"require_signature": True})
    result = troupe("export", "all", out, "--package", "mp4", "--store", delivered)
    assert (result.exit_code, "requires signatures; name a signer" in result.stderr) == (2, True), result.output
    result = troupe("export", "all", out, "--store", delivered)
    assert (result.exit_code, "2 of 2 videos are not signed, and the policy" in result.stderr) == (2, True), (
        result.output
    )
    change_policy(open_store(delivered), {"require_signature": False})
    (Path(delivered) / "renders/key-two/full.mp4").unlink()
    result = troupe("export", "all", out, "--store", delivered)
    assert result.exit_code == 3
    assert "missing: two" in result.stderr


def test_only_what_was_approved(delivered: str, tmp_path: Path) -> None:
    out, store = tmp_path / "out", open_store(delivered)
    words = ["export", "all", str(out), "--store", delivered, "--approved"]
    assert "no finished videos" in troupe(*words).stderr
    Decisions(store).add_all(
        [Decision("Ana", "film", "key-two", "approved"), Decision("Bo", "film", "key-one", "rejected", "mouth")]
    )
    assert troupe(*words, "--review", "pending").exit_code == 2
    assert troupe(*words).exit_code == 0
    (row,) = pq.read_table(out / "manifest.parquet").to_pylist()
    assert (row["job_id"], row["review"], row["reviewer"]) == ("two", "approved", "Ana")
    assert [path.name for path in out.rglob("*.mp4")] == ["two.mp4"]
    (exported,) = sql(store, "SELECT job_id, review, reviewer FROM exports").to_pylist()
    assert exported == {"job_id": "two", "review": "approved", "reviewer": "Ana"}
    assert [entry.facts["reviews"] for entry in read_audit(store)] == [{"approved": 1}]
    listed = troupe("catalog", "ls", "--store", delivered, "--review", "rejected", "--format", "csv").stdout
    assert "one,done" in listed
    assert ",rejected,Bo,mouth," in listed


def test_what_was_replaced_is_noted(delivered: str, tmp_path: Path) -> None:
    store = open_store(delivered)
    with RowBuffer(store, "r2") as buffer:
        columns = {"render_key": "key-new", "full_uri": store.uri("renders/key-two/full.mp4")}
        job = Job("one", "/p/ada.png", "/c/wave.mp4", identity="ada", replaces="key-one")
        buffer.append(make_row("r2", job, "done", started_at=NOW, finished_at=NOW, frames=9, **columns))
    words = ["export", "all", str(tmp_path / "out"), "--store", delivered]
    assert "note: exported beside what replaces them: one" in troupe(*words).stderr
    assert "replaces" not in troupe(*words, "--run", "r2").stderr


def test_films_without_a_key_are_replaced_by_nothing(tmp_path: Path) -> None:
    """As early versions wrote their rows."""
    store = open_store(str(tmp_path / "store"))
    store.put_bytes(b"film", "renders/old/full.mp4")
    with RowBuffer(store, "r1") as buffer:
        columns = {"full_uri": store.uri("renders/old/full.mp4")}
        buffer.append(
            make_row("r1", Job("old", "/p/a.png", "/c/b.mp4"), "done", started_at=NOW, finished_at=NOW, **columns)
        )
    assert "replaces" not in troupe("export", "all", str(tmp_path / "out"), "--store", store.url).stderr


def test_csv_for_excel(delivered: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert troupe("export", "all", str(out), "--store", delivered, "--excel").exit_code == 0
    assert (out / "manifest.csv").read_bytes().startswith(b"\xef\xbb\xbffile,")
    assert troupe("export", "all", str(out), "--store", delivered).exit_code == 0
    assert (out / "manifest.csv").read_bytes().startswith(b"file,")
    rows = tmp_path / "rows.csv"
    assert troupe("catalog", "export", str(rows), "--store", delivered, "--excel").exit_code == 0
    assert rows.read_bytes().startswith(b"\xef\xbb\xbf")


def test_packages(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    films = write_films(tmp_path, frames=10)
    with RowBuffer(store, "r1") as buffer:
        for language, film in films.items():
            key = f"key-{language}"
            store.put(film, f"renders/{key}/full.mp4")
            job = Job(f"welcome.{language}", "/p/ada.png", "/c/wave.mp4", identity="ada", language=language)
            columns = {"render_key": key, "picture_key": "p", "full_uri": store.uri(f"renders/{key}/full.mp4")}
            buffer.append(make_row("r1", job, "done", started_at=NOW, finished_at=NOW, frames=10, **columns))
    out = tmp_path / "out"
    words = ["export", "all", str(out), "--store", store.url, "--package"]
    result = troupe(*words, "hls", "--default-language", "fr")
    assert result.exit_code == 0, result.output
    assert "1 package exported, 0 already there, with 3 films, 0 missing" in result.stderr
    assert 'LANGUAGE="fr",NAME="French",DEFAULT=YES' in (out / "ada/welcome/master.m3u8").read_text()
    (Path(store.url) / "renders/key-fr/full.mp4").unlink()
    result = troupe(*words, "mp4")
    assert result.exit_code == 3
    assert "missing: welcome.fr" in result.stderr
    assert not (out / "ada/welcome.mp4").exists()
