"""catalogs.export.deliver: videos under readable names."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalogs.export.deliver import DeliveryReport, deliver
from catalogs.export.filenames import NameTemplate
from catalogs.query.jobs import list_jobs
from catalogs.query.sql import sql
from catalogs.retention.forget import forget
from catalogs.review.columns import REVIEW_COLUMNS
from catalogs.store.store import Store, open_store
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.schema import SCHEMA
from tests.catalogs.conftest import row
from tests.catalogs.export.conftest import files, render
from troupe.errors import SettingsError

COLUMNS = SCHEMA.names


def test_one_folder_for_every_spelling_of_an_identity(folder_store: Store, tmp_path: Path) -> None:
    with RowBuffer(folder_store, "r1") as buffer:
        for number, identity in enumerate(("Zo\u00eb", "Zoe\u0308", "ZO\u00cb", "Zoe")):
            buffer.append(row("r1", f"j{number}", identity=identity, **render(folder_store, f"k{number}")))
    deliver(folder_store, list_jobs(folder_store), open_store(str(tmp_path / "out")))
    assert [name.split("/")[0] for name in files(tmp_path / "out")] == ["Zoe", "Zo\u00eb", "Zo\u00eb", "Zo\u00eb"]


def test_delivery(filled: Store, tmp_path: Path) -> None:
    target = open_store(str(tmp_path / "out"))
    name = "{identity}/{job_id}_{language}.mp4"
    done = deliver(filled, list_jobs(filled), target, name)
    assert done == DeliveryReport(2, 0, (), str(tmp_path / "out" / "manifest.parquet"))
    assert files(tmp_path / "out") == {"Ana-..-Bo/one_unknown.mp4": "full k1", "Ana/two_fr.mp4": "full k2"}
    manifest = pq.read_table(done.manifest)
    assert manifest.column_names == ["file", *SCHEMA.names, *REVIEW_COLUMNS]
    assert manifest.column("file").to_pylist() == ["Ana-..-Bo/one_unknown.mp4", "Ana/two_fr.mp4"]
    listed = list(csv.DictReader(io.StringIO((tmp_path / "out" / "manifest.csv").read_text())))
    assert [entry["job_id"] for entry in listed] == ["one", "two"]
    assert deliver(filled, list_jobs(filled), target, name).copied == 0
    assert deliver(filled, list_jobs(filled), open_store(str(tmp_path / "crops")), "{job_id}", crop=True).copied == 2
    assert files(tmp_path / "crops") == {"one.mp4": "crop k1", "two.mp4": "full k2"}


def test_a_damaged_video_is_not_delivered(filled: Store, tmp_path: Path) -> None:
    rows = list_jobs(filled)
    checksums = [hashlib.sha256(f"full {key}".encode()).hexdigest() for key in rows.column("render_key").to_pylist()]
    rows = rows.set_column(rows.column_names.index("checksum"), "checksum", pa.array(checksums))
    filled.replace(b"full k3", "renders/k1/full.mp4")
    done = deliver(filled, rows, open_store(str(tmp_path / "out")), "{job_id}")
    assert files(tmp_path / "out") == {"two.mp4": "full k2"}
    assert done.copied == 1
    assert "renders/k1/full.mp4 is damaged" in done.missing[0]


def test_equal_names_are_numbered_and_nothing_is_overwritten(filled: Store, tmp_path: Path) -> None:
    target = open_store(str(tmp_path / "out"))
    deliver(filled, list_jobs(filled), target, "{run_id}.mp4")
    assert files(tmp_path / "out") == {"r1.mp4": "full k1", "r1-2.mp4": "full k2"}
    (tmp_path / "out" / "r1.mp4").write_text("mine")
    with pytest.raises(SettingsError, match="is another file"):
        deliver(filled, list_jobs(filled), target, "{run_id}.mp4")
    assert files(tmp_path / "out")["r1.mp4"] == "mine"


def test_a_store_that_moved_and_a_video_that_is_gone(filled: Store, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    Path(filled.url).rename(moved)
    (moved / "renders/k2/full.mp4").unlink()
    store = open_store(str(moved))
    done = deliver(store, list_jobs(store), open_store(str(tmp_path / "out")), "{job_id}.mp4")
    assert (done.copied, len(done.missing)) == (1, 1)
    assert done.missing[0].startswith("two: ")
    assert pq.read_table(done.manifest).column("job_id").to_pylist() == ["one"]


def test_to_a_bucket(filled: Store, s3: str) -> None:
    target = open_store("s3://cast/delivery")
    assert deliver(filled, list_jobs(filled), target, "{job_id}.mp4").copied == 2
    assert target.list() == ["manifest.csv", "manifest.parquet", "one.mp4", "two.mp4"]


def test_a_second_export_keeps_the_earlier_rows(filled: Store, tmp_path: Path) -> None:
    """Another run's videos join those that are there, under names that are still free."""
    target = open_store(str(tmp_path / "out"))
    deliver(filled, list_jobs(filled, job="one"), target, "{identity}/{preset}.mp4")
    with RowBuffer(filled, "r2") as buffer:
        buffer.append(row("r2", "new", identity="Ana/../Bo", **render(filled, "k9")))
    done = deliver(filled, list_jobs(filled, run="r2"), target, "{identity}/{preset}.mp4")
    assert (done.copied, done.unchanged) == (1, 0)
    manifest = pq.read_table(done.manifest)
    assert dict(zip(manifest["file"].to_pylist(), manifest["job_id"].to_pylist(), strict=True)) == {
        "Ana-..-Bo/exact.mp4": "one",
        "Ana-..-Bo/exact-2.mp4": "new",
    }
    assert deliver(filled, list_jobs(filled, run="r2"), target, "{identity}/{preset}.mp4").copied == 0
    assert pq.read_table(done.manifest).num_rows == 2
    assert len((tmp_path / "out" / "manifest.csv").read_text().splitlines()) == 3
    target.replace(b"no parquet", "manifest.parquet")
    with pytest.raises(SettingsError, match="cannot be read"):
        deliver(filled, list_jobs(filled), target)


def test_nightly_repeats_are_one_video(filled: Store, tmp_path: Path) -> None:
    with RowBuffer(filled, "r2") as buffer:
        buffer.append(row("r2", "one", "reused", identity="Ana/../Bo", **render(filled, "k1")))
    target = open_store(str(tmp_path / "out"))
    done = deliver(filled, list_jobs(filled, job="one"), target)
    assert (done.copied, done.unchanged) == (1, 0)
    assert pq.read_table(done.manifest).select(["file", "run_id"]).to_pylist() == [
        {"file": "Ana-..-Bo/one.mp4", "run_id": "r2"}
    ]


def test_an_absent_tag_is_named(filled: Store, tmp_path: Path) -> None:
    with RowBuffer(filled, "r1") as buffer:
        buffer.append({**row("r1", "tagged", **render(filled, "k5")), "tags": [("scene", "1")]})
    target = open_store(str(tmp_path / "out"))
    for name, message in (
        ("{tags.scene}/{job_id}", "2 of 3 jobs have no tag 'scene': one, two"),
        ("{tags.scen}/{job_id}", "no job has the tag 'scen'; similar: scene"),
    ):
        with pytest.raises(SettingsError) as refused:
            deliver(filled, list_jobs(filled), target, name)
        assert message in refused.value.message
    assert files(tmp_path / "out") == {}
    assert deliver(filled, list_jobs(filled, tags=["scene"]), target, "{tags.scene}/{job_id}").copied == 1


def test_subtitles_are_delivered_with_the_name_of_their_video(folder_store: Store, tmp_path: Path) -> None:
    with RowBuffer(folder_store, "r1") as buffer:
        for language in ("fr", "en"):
            columns = render(folder_store, language)
            for kind in ("vtt", "srt") if language == "fr" else ():
                folder_store.put_bytes(f"{kind} {language}".encode(), f"renders/{language}/subtitles.{kind}")
                columns[f"subtitles_{kind}_uri"] = folder_store.uri(f"renders/{language}/subtitles.{kind}")
            buffer.append({**row("r1", language, identity="Ana", **columns), "language": language})
    target = open_store(str(tmp_path / "out"))
    for _ in range(2):  # the second time, everything is there
        done = deliver(folder_store, list_jobs(folder_store), target, "welcome_{language}.MP4")
    assert not done.missing
    assert {key: target.read(key) for key in target.list() if not key.startswith("manifest")} == {
        "welcome_en.MP4": b"full en",
        "welcome_fr.MP4": b"full fr",
        "welcome_fr.vtt": b"vtt fr",
        "welcome_fr.srt": b"srt fr",
    }
    manifest = pq.read_table(done.manifest)
    assert manifest.column_names[:3] == ["file", "subtitles_vtt_file", "subtitles_srt_file"]
    assert manifest["subtitles_srt_file"].to_pylist() == [None, "welcome_fr.srt"]
    exported = forget(folder_store, "ana", dry_run=True).exported
    assert [uri.rpartition("/")[2] for uri in exported] == [
        *("welcome_en.MP4", "welcome_fr.MP4", "welcome_fr.srt", "welcome_fr.vtt")
    ]
    Path(folder_store.url, "renders/fr/subtitles.srt").unlink()
    done = deliver(folder_store, list_jobs(folder_store), open_store(str(tmp_path / "other")), "{job_id}.mp4")
    assert (done.copied, [problem.split(":")[0] for problem in done.missing]) == (1, ["fr"])


def test_posters(filled: Store, tmp_path: Path) -> None:
    filled.put_bytes(b"poster", "renders/k1/poster.jpg")
    with RowBuffer(filled, "r1") as buffer:
        columns = {**render(filled, "k1"), "poster_uri": filled.uri("renders/k1/poster.jpg")}
        buffer.append(row("r1", "one", identity="Ana", **columns))
    target = open_store(str(tmp_path / "out"))
    done = deliver(filled, list_jobs(filled), target, posters=True)
    assert done.copied == 2
    assert target.read("Ana/one.jpg") == b"poster"
    manifest = pq.read_table(done.manifest)
    assert manifest.column_names[:2] == ["file", "poster_file"]
    assert manifest["poster_file"].to_pylist() == ["Ana/one.jpg", None]


def test_exports_are_recorded(filled: Store, tmp_path: Path) -> None:
    """In the catalog, each video once per target, also if the export is repeated."""
    out, other = (open_store(str(tmp_path / name)) for name in ("out", "other"))
    for target in (out, out, other):
        deliver(filled, list_jobs(filled), target)
    assert sql(
        filled, "SELECT target, count(*) AS videos, count(DISTINCT render_key) AS renders FROM exports GROUP BY ALL"
    ).sort_by("target").to_pylist() == [
        {"target": other.url, "videos": 2, "renders": 2},
        {"target": out.url, "videos": 2, "renders": 2},
    ]
    (first, *_) = sql(filled, "FROM exports ORDER BY file").to_pylist()
    assert (first["run_id"], first["job_id"], first["file"]) == ("r1", "one", "Ana-..-Bo/one.mp4")
    assert sql(filled, "SELECT count(*) FROM exports JOIN jobs USING (run_id, job_id)").column(0).to_pylist() == [4]


def test_a_store_without_exports(folder_store: Store) -> None:
    assert sql(folder_store, "SELECT count(*) FROM exports").column(0).to_pylist() == [0]


def test_credentials_in_rows_of_earlier_versions_are_not_delivered(folder_store: Store, tmp_path: Path) -> None:
    secret = "https://h/a.png?sig=c0ffee"
    with RowBuffer(folder_store, "r1") as buffer:
        buffer.append({**row("r1", "one", **render(folder_store, "k1")), "portrait": secret})
    deliver(folder_store, list_jobs(folder_store), open_store(str(tmp_path / "out")))
    table = pq.read_table(tmp_path / "out" / "manifest.parquet")
    assert table.column("portrait").to_pylist() == ["https://h/a.png?sig=***"]
    assert "c0ffee" not in (tmp_path / "out" / "manifest.csv").read_text()


def test_an_export_into_a_store_is_refused(filled: Store, tmp_path: Path) -> None:
    """The folder of an identity named `tombstones` would be read as the forget list."""
    other = open_store(str(tmp_path / "other"))
    other.put_bytes(b"", "runs/r1/request.parquet")
    for url in (filled.url, f"{filled.url}/delivery", other.url, f"{other.url}/a/b"):
        before = filled.list()
        with pytest.raises(SettingsError, match="is in the store"):
            deliver(filled, list_jobs(filled), open_store(url), "tombstones/{job_id}")
        assert filled.list() == before
    beside = open_store(str(tmp_path / "out"))
    for _ in range(2):
        deliver(filled, list_jobs(filled), beside, "tombstones/{job_id}")


@pytest.mark.parametrize(
    ("identity", "folder"),
    [
        ("COM\u00b9", "_COM\u00b9"),
        ("LPT\u00b3.txt", "_LPT\u00b3.txt"),
        ("CONIN$", "_CONIN$"),
        ("conout$", "_conout$"),
        ("aux .txt", "_aux .txt"),
        ("com0", "_com0"),
        ("\u754c" * 90, "\u754c" * 80),
        ("\u754c" * 60 + "." + "\u754c" * 40, "\u754c" * 60 + "." + "\u754c" * 19),
        ("COMB", "COMB"),
    ],
)
def test_names_that_systems_reserve_or_refuse(filled: Store, tmp_path: Path, identity: str, folder: str) -> None:
    name = NameTemplate("{identity}/{job_id}.mp4", SCHEMA.names).name({"identity": identity, "job_id": "j"}, ".mp4")
    assert name == f"{folder}/j.mp4"
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).touch()
