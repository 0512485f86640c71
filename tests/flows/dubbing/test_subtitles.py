"""Subtitles from the jobs file to the film and the files beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from catalogs.retention.check_store import check_store
from catalogs.retention.forget import forget
from catalogs.store.store import open_store
from tasks import media
from tasks.media.subtitles import read_subtitles, subtitle_track
from tasks.run.summary import Summary
from tests.flows.cast import write_clip, write_sound
from tests.flows.dubbing.test_dubbing import packets
from tests.flows.jobs import JOB, RunJobs, jobs_runner, manifest_rows
from tests.tasks.media.subtitles.test_track import events
from troupe.errors import BadJob

Rows = Mapping[str, dict[str, Any]]

SRT = """1
00:00:00,040 --> 00:00:00,200
Grüezi <i>mitenand</i>

2
00:00:00,240 --> 00:00:00,900
Ende
"""
TITLED = JOB | {"job_id": "titled", "subtitles": "hello.de.srt", "language": "de", "identity": "Ruby"}
BURNED = TITLED | {"job_id": "burned", "subtitles_burn": "true"}
FILMS = (
    TITLED,
    JOB | {"job_id": "plain"},
    JOB | {"job_id": "clip", "driving": "titled.mp4"},
    TITLED | {"job_id": "part", "start": "0.2", "master": "lossless"},
    TITLED | {"job_id": "late", "start": "0.2", "master": "lossless", "subtitles": "early.vtt"},
    TITLED | {"job_id": "held", "audio": "long.wav", "fit": "hold"},
    TITLED | {"job_id": "english", "subtitles_language": "en"},
    BURNED,
    BURNED | {"job_id": "mute", "audio": "none"},
)


@pytest.fixture(scope="module", autouse=True)
def srt(cast: Path) -> Path:
    """Subtitles of the clip, which has 0.4 s, and other inputs."""
    path, early, format_ = cast / "hello.de.srt", cast / "early.vtt", media.h264()
    path.write_text(SRT, encoding="utf-8")
    early.write_text("WEBVTT\n\n00:00.000 --> 00:00.100 line:0\nfrüh\n", encoding="cp1252")
    write_sound(cast / "long.wav", 0.6)
    write_clip(cast / "silent.mp4", frames=3, rate="25", voiced=False)
    track = subtitle_track(read_subtitles(path)[0], cast / "track.srt", format_)
    clip, rate = cast / "clips" / "hello.mp4", Fraction(25)
    media.add_sound(clip, cast / "titled.mp4", None, 0.4, rate, media.VideoMetadata(), format_, track)
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("titled") / "store"


@pytest.fixture(scope="module")
def runner(store: Path, weights: Path, cast: Path) -> RunJobs:
    return jobs_runner(store, weights, cast)


@pytest.fixture(scope="module")
def films(runner: RunJobs) -> Summary:
    """A run of all jobs that can be done."""
    return runner(*FILMS)


@pytest.fixture
def rows(films: Summary) -> Rows:
    return manifest_rows(films)


def text_tracks(video: str) -> int:
    with av.open(video) as file:
        return len(file.streams.subtitles)


def test_a_film_has_a_track_and_files_of_its_subtitles(films: Summary, rows: Rows, store: Path) -> None:
    assert films.counts == {"done": len(FILMS)}
    assert (films.pictures, films.films) == (4, len(FILMS))
    plain, row = rows["plain"], rows["titled"]
    assert packets(row["full_uri"]) == packets(plain["full_uri"])
    texts, language = events(Path(row["full_uri"]))
    assert (language, texts) == ("deu", [(0.04, 0.2, "Grüezi mitenand"), (0.24, 0.4, "Ende")])
    with av.open(row["full_uri"]) as file:  # players show them only if the viewer chooses them
        assert not file.streams.subtitles[0].disposition & av.stream.Disposition.default
    assert media.probe(Path(row["full_uri"])).frames == 10
    assert row["subtitles"].endswith("/hello.de.srt")
    assert (row["subtitles_burn"], row["subtitles_language"]) == (False, "de")
    assert "1 of 2 were cut at the start or the end" in row["notes"]
    assert [plain[f"subtitles_{kind}_uri"] for kind in ("vtt", "srt")] == [None, None]
    folder = store / "renders" / row["render_key"]
    for kind in ("vtt", "srt"):
        path = Path(row[f"subtitles_{kind}_uri"])
        assert path == folder / f"subtitles.{kind}"
        assert [(cue.start, cue.end, cue.text) for cue in read_subtitles(path)[0].cues] == [
            (40, 200, "Grüezi <i>mitenand</i>"),
            (240, 400, "Ende"),
        ]
        assert f"subtitles.{kind}" in json.loads((folder / "render.json").read_text())["files"]


def test_subtitles_follow_the_part_and_the_length_of_the_film(rows: Rows) -> None:
    for column in ("full_uri", "master_uri"):
        assert events(Path(rows["part"][column]))[0] == [(0.04, 0.2, "Ende")]
    assert "1 of 2 are outside the video" in rows["part"]["notes"]
    assert events(Path(rows["held"]["full_uri"]))[0][1] == (0.24, 0.6, "Ende")
    assert text_tracks(rows["late"]["full_uri"]) == 0
    assert "none are within the video" in rows["late"]["notes"]
    assert "early.vtt is not in UTF-8; it was read as windows-1252, by its language" in rows["late"]["notes"]
    assert [rows["late"][f"subtitles_{kind}_uri"] for kind in ("vtt", "srt")] == [None, None]


def test_subtitles_in_another_language_than_the_sound(rows: Rows) -> None:
    row = rows["english"]
    assert events(Path(row["full_uri"]))[1] == "eng"
    assert (row["language"], row["subtitles_language"]) == ("de", "en")
    assert row["picture_key"] == rows["titled"]["picture_key"]


def test_subtitles_in_the_clip_are_left_out_and_that_is_said(rows: Rows) -> None:
    assert "subtitles: those in the clip were left out" in rows["clip"]["notes"]
    assert text_tracks(rows["clip"]["full_uri"]) == 0


def test_drawn_subtitles_are_another_picture(rows: Rows) -> None:
    burned = rows["burned"]
    assert burned["picture_key"] == rows["mute"]["picture_key"] != rows["titled"]["picture_key"]
    assert burned["subtitles_burn"]
    assert burned["subtitles_vtt_uri"] is None
    assert "drawn into the picture" in burned["notes"]
    assert text_tracks(burned["full_uri"]) == 0
    videos = [media.decode(Path(rows[name]["full_uri"])) for name in ("burned", "titled")]
    changed = [bool(np.abs(a.astype(int) - b).max() > 80) for a, b in zip(*videos, strict=True)]
    assert changed == [False, True, True, True, True, False, True, True, True, True]


def test_damaged_files_are_made_again_and_forgotten_ones_are_gone(
    runner: RunJobs, rows: Rows, store: Path, srt: Path
) -> None:
    opened, folder = open_store(str(store)), store / "renders" / rows["titled"]["render_key"]
    assert not check_store(opened, deep=True, repair=True).problems
    again = runner(TITLED)
    assert again.counts == {"reused": 1}
    assert manifest_rows(again)["titled"]["subtitles_srt_uri"] == rows["titled"]["subtitles_srt_uri"]
    (folder / "subtitles.vtt").write_text("WEBVTT\n\n")
    (problem,) = check_store(opened).problems
    assert "subtitles.vtt is damaged" in problem.what
    assert (runner(TITLED).films, check_store(opened).problems) == (1, ())
    srt.write_text(SRT.replace("Ende", "Schluss"), encoding="utf-8")
    other = runner(TITLED)
    srt.write_text(SRT, encoding="utf-8")
    assert (other.pictures, other.films) == (0, 1)
    assert events(Path(manifest_rows(other)["titled"]["full_uri"]))[0][1][2] == "Schluss"
    forget(opened, "ruby")
    assert not any(folder.iterdir())


def test_what_cannot_be_used_is_refused_before_anything_is_rendered(run_jobs: RunJobs, cast: Path) -> None:
    """Each job lists all that is wrong with it."""
    (cast / "broken.srt").write_text("1\n00:00:01,000 --> 00:00:00,500\nLate\n\n2\n00:00:02 -> 00:00:03\nBad\n")
    (cast / "old.srt").write_text("1\n00:00:00,000 --> 00:00:00,500\n\U00012000\n")
    summary = run_jobs(
        JOB | {"job_id": "both", "subtitles": "broken.srt", "audio": "silent.mp4"},
        JOB | {"job_id": "lost", "subtitles": "lost.srt", "audio": "lost.wav"},
        JOB | {"job_id": "glyphs", "subtitles": "old.srt", "subtitles_burn": "true"},
        BURNED | {"job_id": "bounced", "audio": "long.wav", "fit": "bounce"},
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


def test_all_problems_of_a_request_are_reported_together(run_jobs: RunJobs, cast: Path) -> None:
    """Those of its cells, of files that do not exist, and of what is in the files."""
    (cast / "broken.srt").write_text("1\n00:00:02 -> 00:00:03\nBad\n")
    for name in ("text.png", "text.mp4"):
        (cast / name).write_text("neither a picture nor a clip")
    spoken = {"language": ""}
    with pytest.raises(BadJob) as raised:
        run_jobs(
            TITLED | {"job_id": "a", "subtitles": "lost.{language}.srt"} | spoken,
            TITLED | {"job_id": "b", "languages": "de;fr"} | spoken,
            TITLED | {"job_id": "c", "languages": "de;xx", "subtitles": "hello.{language}.srt"} | spoken,
            TITLED | {"job_id": "d", "languages": "de;fr", "subtitles": "hello.{language}.srt"} | spoken,
            TITLED | {"job_id": "e", "stretch_limit": "300%"},
            TITLED | {"job_id": "f", "subtitles": "", "subtitles_burn": "true"},
            TITLED | {"job_id": "g", "subtitles": "lost.srt"},
            JOB | {"job_id": "h", "audio": "silent.mp4", "subtitles": "broken.srt"},
            JOB | {"job_id": "i", "portrait": "text.png", "driving": "text.mp4"},
        )
    for problem in (
        "row 1 (line 2): there is no file like",
        "row 2 (line 3): languages is de;fr, but none of audio, tracks, subtitles has {language}",
        "row 3 (line 4): languages is 'de;xx'; xx is not a language",
        "row 4 (line 5): subtitles for fr: ",
        "row 5 (line 6): stretch_limit is '300%'",
        "row 6 (line 7): subtitles_burn is true, but subtitles is empty",
        "row 7 (line 8): subtitles: ",
        "row 8 (line 9): audio: silent.mp4 has no sound; name another file, or `none`",
        "row 8 (line 9): subtitles: subtitles broken.srt cannot be used: line 2: ",
        "row 9 (line 10): portrait: text.png is not a picture that can be decoded",
        "row 9 (line 10): driving: text.mp4",
    ):
        assert problem in str(raised.value), str(raised.value)
