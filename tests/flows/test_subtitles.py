"""Subtitles from the jobs file to the film, the files beside it, and the delivery."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from catalogs.retention.check_store import check_store
from catalogs.retention.forget import forget
from catalogs.store.store import open_store
from tasks import media
from tasks.media.subtitles import read_subtitles, subtitle_track
from tests.flows.cast import write_clip, write_sound
from tests.flows.jobs import JOB, RunJobs, manifest_rows
from tests.flows.test_dubbing import packets
from tests.tasks.media.subtitles.test_track import events
from troupe.errors import BadJob

SRT = """1
00:00:00,040 --> 00:00:00,200
Grüezi <i>mitenand</i>

2
00:00:00,240 --> 00:00:00,900
Ende
"""
TITLED = JOB | {"job_id": "titled", "subtitles": "hello.de.srt", "language": "de", "identity": "Ruby"}


@pytest.fixture(autouse=True)
def srt(cast: Path) -> Path:
    path = cast / "hello.de.srt"
    path.write_text(SRT, encoding="utf-8")
    return path


def test_a_film_has_a_track_and_files_of_its_subtitles(run_jobs: RunJobs, tmp_path: Path) -> None:
    """The clip has 0.4 s: the second text is cut."""
    summary = run_jobs(JOB | {"job_id": "plain"}, TITLED)
    assert summary.counts == {"done": 2}
    assert (summary.pictures, summary.films) == (1, 2)
    rows = manifest_rows(summary)
    plain, row = rows["plain"], rows["titled"]
    assert packets(row["full_uri"]) == packets(plain["full_uri"])
    texts, language = events(Path(row["full_uri"]))
    assert (language, texts) == ("deu", [(0.04, 0.2, "Grüezi mitenand"), (0.24, 0.4, "Ende")])
    assert media.probe(Path(row["full_uri"])).frames == 10
    assert row["subtitles"].endswith("/hello.de.srt")
    assert (row["subtitles_burn"], row["subtitles_language"]) == (False, "de")
    assert "1 of 2 were cut at the start or the end" in row["notes"]
    assert [plain[f"subtitles_{kind}_uri"] for kind in ("vtt", "srt")] == [None, None]
    folder = tmp_path / "store" / "renders" / row["render_key"]
    for kind in ("vtt", "srt"):
        path = Path(row[f"subtitles_{kind}_uri"])
        assert path == folder / f"subtitles.{kind}"
        assert [(cue.start, cue.end, cue.text) for cue in read_subtitles(path)[0].cues] == [
            (40, 200, "Grüezi <i>mitenand</i>"),
            (240, 400, "Ende"),
        ]
        assert f"subtitles.{kind}" in json.loads((folder / "render.json").read_text())["files"]
    again = run_jobs(TITLED)
    assert again.counts == {"reused": 1}
    assert manifest_rows(again)["titled"]["subtitles_srt_uri"] == row["subtitles_srt_uri"]

    store = open_store(str(tmp_path / "store"))
    assert not check_store(store, deep=True, repair=True).problems
    (folder / "subtitles.vtt").write_text("WEBVTT\n\n")
    (problem,) = check_store(store).problems
    assert "subtitles.vtt is damaged" in problem.what
    assert run_jobs(TITLED).films == 1
    assert not check_store(store, deep=True).problems
    forget(store, "ruby")
    assert not any(folder.iterdir())


def test_other_subtitles_are_another_film_of_the_same_picture(run_jobs: RunJobs, srt: Path) -> None:
    run_jobs(TITLED)
    srt.write_text(SRT.replace("Ende", "Schluss"), encoding="utf-8")
    summary = run_jobs(TITLED, TITLED | {"job_id": "en", "subtitles_language": "en"})
    assert (summary.pictures, summary.films) == (0, 2)
    rows = manifest_rows(summary)
    assert events(Path(rows["titled"]["full_uri"]))[0][1][2] == "Schluss"
    assert events(Path(rows["en"]["full_uri"]))[1] == "eng"
    assert (rows["en"]["language"], rows["en"]["subtitles_language"]) == ("de", "en")


def test_subtitles_of_a_part_and_of_a_longer_film(run_jobs: RunJobs, cast: Path) -> None:
    write_sound(cast / "long.wav", 0.6)
    (cast / "early.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:00.100 line:0\nfrüh\n", encoding="cp1252")
    part = TITLED | {"job_id": "part", "start": "0.2", "master": "lossless"}
    held = TITLED | {"job_id": "held", "audio": "long.wav", "fit": "hold"}
    none = TITLED | {"job_id": "none", "start": "0.2", "subtitles": "early.vtt"}
    rows = manifest_rows(run_jobs(part, held, none))
    for column in ("full_uri", "master_uri"):
        assert events(Path(rows["part"][column]))[0] == [(0.04, 0.2, "Ende")]
    assert "1 of 2 are outside the video" in rows["part"]["notes"]
    assert events(Path(rows["held"]["full_uri"]))[0][1] == (0.24, 0.6, "Ende")
    with av.open(rows["none"]["full_uri"]) as file:
        assert not file.streams.subtitles
    assert "none are within the video" in rows["none"]["notes"]
    assert "early.vtt is not in UTF-8; it was read as windows-1252, by its language" in rows["none"]["notes"]
    assert Path(rows["none"]["subtitles_vtt_uri"]).read_text().strip() == "WEBVTT"


def test_drawn_subtitles_are_another_picture(run_jobs: RunJobs) -> None:
    burned = TITLED | {"job_id": "burned", "subtitles_burn": "true"}
    summary = run_jobs(TITLED, burned, burned | {"job_id": "mute", "audio": "none"})
    assert (summary.pictures, summary.films) == (2, 3)
    rows = manifest_rows(summary)
    assert rows["burned"]["picture_key"] == rows["mute"]["picture_key"] != rows["titled"]["picture_key"]
    assert rows["burned"]["subtitles_burn"]
    assert rows["burned"]["subtitles_vtt_uri"] is None
    assert "drawn into the picture" in rows["burned"]["notes"]
    with av.open(rows["burned"]["full_uri"]) as file:
        assert not file.streams.subtitles
    videos = [media.decode(Path(rows[name]["full_uri"])) for name in ("burned", "titled")]
    changed = [bool(np.abs(a.astype(int) - b).max() > 80) for a, b in zip(*videos, strict=True)]
    assert changed == [False, True, True, True, True, False, True, True, True, True]


def test_what_cannot_be_used_is_refused_before_anything_is_rendered(run_jobs: RunJobs, cast: Path) -> None:
    """Each job lists all that is wrong with it."""
    write_clip(cast / "silent.mp4", frames=3, rate="25", voiced=False)
    write_sound(cast / "long.wav", 0.6)
    (cast / "broken.srt").write_text("1\n00:00:01,000 --> 00:00:00,500\nLate\n\n2\n00:00:02 -> 00:00:03\nBad\n")
    (cast / "old.srt").write_text("1\n00:00:00,000 --> 00:00:00,500\n\U00012000\n")
    summary = run_jobs(
        JOB | {"job_id": "both", "subtitles": "broken.srt", "audio": "silent.mp4"},
        JOB | {"job_id": "lost", "subtitles": "lost.srt", "audio": "lost.wav"},
        JOB | {"job_id": "glyphs", "subtitles": "old.srt", "subtitles_burn": "true"},
        TITLED | {"job_id": "bounced", "audio": "long.wav", "fit": "bounce", "subtitles_burn": "true"},
    )
    assert summary.counts == {"failed": 4}
    assert summary.evaluations == summary.files_put == 0
    errors = {name: row["error"] for name, row in manifest_rows(summary).items()}
    assert "broken.srt cannot be used: line 2: " in errors["both"]
    assert "silent.mp4 has no sound" in errors["both"]
    assert "lost.srt does not exist" in errors["lost"]
    assert "lost.wav does not exist" in errors["lost"]
    assert "old.srt cannot be drawn: no font on this machine has" in errors["glyphs"]
    assert "use stretch or cut" in errors["bounced"]


def test_all_problems_of_a_request_are_reported_together(run_jobs: RunJobs) -> None:
    with pytest.raises(BadJob) as raised:
        run_jobs(
            TITLED | {"job_id": "a", "subtitles": "lost.{language}.srt", "language": ""},
            TITLED | {"job_id": "b", "languages": "de;fr", "language": ""},
            TITLED | {"job_id": "c", "languages": "de;xx", "subtitles": "hello.{language}.srt", "language": ""},
            TITLED | {"job_id": "d", "languages": "de;fr", "subtitles": "hello.{language}.srt", "language": ""},
            TITLED | {"job_id": "e", "stretch_limit": "300%"},
            TITLED | {"job_id": "f", "subtitles": "", "subtitles_burn": "true"},
        )
    for problem in (
        "row 1 (line 2): there is no file like",
        "row 2 (line 3): languages is de;fr, but none of audio, tracks, subtitles has {language}",
        "row 3 (line 4): languages is 'de;xx'; xx is not a language",
        "row 4 (line 5): subtitles for fr: ",
        "row 5 (line 6): stretch_limit is '300%'",
        "row 6 (line 7): subtitles_burn is true, but subtitles is empty",
    ):
        assert problem in str(raised.value), str(raised.value)


def test_subtitles_in_the_clip_are_left_out_and_that_is_said(run_jobs: RunJobs, cast: Path, srt: Path) -> None:
    clip, titled = cast / "clips" / "hello.mp4", cast / "titled.mp4"
    format_ = media.h264()
    track = subtitle_track(read_subtitles(srt)[0], cast / "track.srt", format_)
    media.add_sound(clip, titled, None, 0.4, Fraction(25), media.VideoMetadata(), format_, track)
    row = manifest_rows(run_jobs(JOB | {"driving": "titled.mp4", "job_id": "a"}))["a"]
    assert "subtitles: those in the clip were left out" in row["notes"]
    with av.open(row["full_uri"]) as file:
        assert not file.streams.subtitles
