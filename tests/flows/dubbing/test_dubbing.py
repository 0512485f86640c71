"""One picture, many languages: films share what was rendered."""

from __future__ import annotations

import hashlib
import json
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from catalogs.retention.evict import maintain
from catalogs.retention.forget import forget
from catalogs.store.store import open_store
from flows.cli import app
from tasks import media
from tasks.media.ffmpeg_process import FfmpegProcess
from tests.flows.cast import write_clip, write_sound
from tests.flows.jobs import JOB, RunJobs, manifest_rows

RATE = 16000
LANGUAGES = ("en", "fr", "pt-BR")


@pytest.fixture
def dubs(cast: Path) -> dict[str, dict[str, str]]:
    """Jobs by language, each with a sound of its own."""
    for number, language in enumerate(LANGUAGES):
        write_sound(cast / f"{language}.wav", 0.4 - number / 100)
    return {
        language: JOB | {"job_id": language, "audio": f"{language}.wav", "language": language, "identity": "Ruby"}
        for language in LANGUAGES
    }


LATE = {"end": "0.2"}  # so that strict would have to cut more than a quarter of a second


def write_tones(path: Path, seconds: float) -> None:
    """Write silence with a tone of 1 kHz in its last tenth of a second."""
    time = np.arange(round(seconds * RATE)) / RATE
    samples = 0.5 * np.sin(2 * np.pi * 1000 * time) * (time >= seconds - 0.1)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype(np.int16).tobytes())


def heard(video: str, seconds: float) -> bool:
    """Return whether a tone of 1 kHz is in the last seconds of a video's sound, by Goertzel's algorithm."""
    with av.open(video) as file:
        (stream,) = file.streams.audio
        samples = np.concatenate([frame.to_ndarray().mean(0) for frame in file.decode(stream)])
        rate = stream.rate
    end = samples[-round(seconds * rate) :]
    tone = np.exp(-2j * np.pi * 1000 * np.arange(len(end)) / rate)
    return bool(abs(end @ tone) / len(end) > 0.05)


def packets(video: str) -> str:
    """Return a hash of a video's picture as it is encoded."""
    with av.open(video) as file:
        return hashlib.md5(b"".join(bytes(packet) for packet in file.demux(video=0))).hexdigest()


def test_languages_share_one_picture(
    run_jobs: RunJobs, dubs: dict[str, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = run_jobs(dubs["en"])
    assert (one.pictures, one.films, one.frames) == (1, 1, 10)
    started: list[str] = []
    start = FfmpegProcess.__init__

    def counted(process: FfmpegProcess, output: Any, **options: Any) -> None:
        started.append(str(output))
        start(process, output, **options)

    monkeypatch.setattr(FfmpegProcess, "__init__", counted)
    rest = run_jobs(dubs["fr"], dubs["pt-BR"])
    assert len(started) == 2 * 2  # each takes a tenth of a second: a film is muxed, and its sound is measured
    assert rest.counts == {"done": 2}
    assert (rest.pictures, rest.films, rest.frames, rest.evaluations) == (0, 2, 0, 0)
    rows = manifest_rows(one) | manifest_rows(rest)
    assert len({row["picture_key"] for row in rows.values()}) == 1
    assert len({row["render_key"] for row in rows.values()}) == 3
    assert len({packets(row["full_uri"]) for row in rows.values()}) == 1
    assert len({row["checksum"] for row in rows.values()}) == 3
    with av.open(rows["pt-BR"]["full_uri"]) as file:
        assert file.streams.audio[0].language == "por"
    assert {row["quality_flicker"] for row in rows.values()} == {rows["en"]["quality_flicker"]}
    assert all("sync: not measured, " in row["notes"] for row in rows.values())  # too short
    (picture,) = (tmp_path / "store" / "cache" / "pictures").glob("*/render.json")
    assert "mouth" in json.loads(picture.read_text())
    films = [json.loads(record.read_text()) for record in (tmp_path / "store" / "renders").glob("*/render.json")]
    assert [film for film in films if "mouth" in film] == []
    assert "1 picture and 1 film made" in one.line()


def test_the_catalog_shows_the_films_of_a_picture(
    run_jobs: RunJobs, dubs: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    summary = run_jobs(*dubs.values(), JOB | {"job_id": "other", "seed": 5})
    key = manifest_rows(summary)["fr"]["picture_key"]
    store = str(tmp_path / "store")
    listed = CliRunner().invoke(app, ["catalog", "ls", "--store", store, "--picture", key, "--format", "json"])
    assert {row["job_id"] for row in json.loads(listed.stdout)} == set(LANGUAGES)
    shown = CliRunner().invoke(app, ["catalog", "show", "fr", "--store", store])
    assert "en (en), pt-BR (pt-BR)" in shown.output


def test_all_languages_at_once_render_once(run_jobs: RunJobs, dubs: dict[str, dict[str, str]]) -> None:
    summary = run_jobs(*dubs.values())
    assert summary.counts == {"done": 3}
    assert (summary.pictures, summary.films, summary.frames) == (1, 3, 10)
    assert sum(bool(row["seconds_denoise"]) for row in manifest_rows(summary).values()) == 1


@pytest.mark.parametrize(("fit", "frames"), [("strict", None), ("cut", 10), ("hold", 15), ("bounce", 15)])
def test_a_longer_sound(run_jobs: RunJobs, cast: Path, fit: str, frames: int | None) -> None:
    """The clip has 0.4 s, the sound 0.6 s with a tone in its last 0.1 s."""
    write_tones(cast / "long.wav", 0.6)
    first = run_jobs(JOB)
    summary = run_jobs(JOB | {"job_id": "dub", "audio": "long.wav", "fit": fit} | (LATE if fit == "strict" else {}))
    row = manifest_rows(summary)["dub"]
    if frames is None:
        assert row["error_kind"] == "input"
        assert "0.600 s" in row["error"]
        assert "hold or bounce" in row["error"]
        assert (summary.evaluations, summary.files_put) == (0, 0)
        return
    assert summary.pictures == 0
    assert (row["frames"], row["fit"], row["audio_seconds"]) == (frames, fit, 0.6)
    info = media.probe(Path(row["full_uri"]))
    assert info.frames == frames
    assert abs(info.audio_seconds - info.seconds) <= 0.04
    assert row["audio_cut_seconds"] == pytest.approx(0.2 if fit == "cut" else 0.0)
    assert heard(row["full_uri"], 0.1) == (fit != "cut")
    if fit == "cut":
        (one,) = manifest_rows(first).values()
        assert packets(row["full_uri"]) == packets(one["full_uri"])
        assert "cut" in row["notes"]
    else:
        assert f"({fit})" in row["notes"]


@pytest.mark.long
def test_a_stretched_motion(run_jobs: RunJobs, cast: Path) -> None:
    for name, seconds in {"near": 0.44, "far": 0.6, "short": 0.36}.items():
        write_tones(cast / f"{name}.wav", seconds)
    jobs = [JOB | {"job_id": name, "audio": f"{name}.wav", "fit": "stretch"} for name in ("near", "far", "short")]
    jobs += [JOB | {"job_id": "both", "audio": "far.wav", "fit": "stretch+bounce"}]
    jobs += [JOB | {"job_id": "wide", "audio": "far.wav", "fit": "stretch", "stretch_limit": "50%"}]
    summary = run_jobs(JOB | {"job_id": "whole"}, *jobs)
    rows = manifest_rows(summary)
    assert summary.counts == {"done": 5, "failed": 1}
    assert "50.0%" in rows["far"]["error"]
    frames = {"near": 11, "short": 9, "both": 15, "wide": 15}
    assert {name: rows[name]["frames"] for name in frames} == frames
    for name, count in frames.items():
        assert media.probe(Path(rows[name]["full_uri"])).frames == count
        assert heard(rows[name]["full_uri"], 0.1)
    assert "10 frames stretched to 11" in rows["near"]["notes"]
    assert "(bounce)" in rows["both"]["notes"]
    assert summary.pictures == 5


def test_a_preview_cuts_the_sound_as_well(run_jobs: RunJobs, dubs: dict[str, dict[str, str]]) -> None:
    summary = run_jobs(*dubs.values(), preview=0.08)
    assert summary.counts == {"done": 3}
    assert {row["frames"] for row in manifest_rows(summary).values()} == {2}


def test_local_and_a_cluster_contradict_each_other(tmp_path: Path) -> None:
    words = ["run", "jobs.csv", "--local", "--ray-address", "auto", "--store", str(tmp_path / "store")]
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code != 0
    assert "not both" in str(ended.output) + str(ended.exception)


def test_a_file_without_sound_is_refused_before_anything_is_rendered(run_jobs: RunJobs, cast: Path) -> None:
    write_clip(cast / "silent.mp4", frames=3, rate="25", voiced=False)
    summary = run_jobs(JOB | {"audio": "silent.mp4"})
    (row,) = manifest_rows(summary).values()
    assert "has no sound" in row["error"]
    assert summary.evaluations == summary.files_put == 0


def test_loudness_is_measured_and_normalised(run_jobs: RunJobs, cast: Path) -> None:
    write_sound(cast / "voice.wav", 1.0)
    job = JOB | {"audio": "voice.wav", "fit": "hold", "job_id": "a"}
    rows = manifest_rows(
        run_jobs(job, job | {"loudness": "-16", "job_id": "b"}, JOB | {"audio": "none", "job_id": "c"})
    )
    assert rows["a"]["loudness_lufs"] < -5
    assert rows["b"]["loudness_lufs"] == pytest.approx(-16, abs=0.5)
    assert rows["b"]["true_peak_dbtp"] <= -1
    assert rows["c"]["loudness_lufs"] is None
    assert rows["a"]["picture_key"] == rows["b"]["picture_key"] == rows["c"]["picture_key"]
    assert rows["a"]["checksum"] != rows["b"]["checksum"]


@pytest.mark.parametrize("damage", ["flipped", "missing", "record"])
def test_a_damaged_picture_is_rendered_again(
    run_jobs: RunJobs, dubs: dict[str, dict[str, str]], tmp_path: Path, damage: str
) -> None:
    first = run_jobs(dubs["en"])
    (video,) = (tmp_path / "store" / "cache" / "pictures").glob("*/full.mp4")
    if damage == "flipped":
        data = bytearray(video.read_bytes())
        data[len(data) // 2] ^= 1
        video.write_bytes(data)
    elif damage == "missing":
        video.unlink()
    else:
        video.with_name("render.json").write_bytes(b"{")
    second = run_jobs(dubs["fr"])
    assert second.counts == {"done": 1}
    assert (second.pictures, second.films) == (1, 1)
    (before,), (after,) = manifest_rows(first).values(), manifest_rows(second).values()
    assert packets(after["full_uri"]) == packets(before["full_uri"])


def test_an_evicted_picture_is_rendered_again_and_a_forgotten_person_has_none(
    run_jobs: RunJobs, dubs: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    run_jobs(dubs["en"])
    store = open_store(str(tmp_path / "store"))
    maintain(store.url, max_gigabytes=0.0)
    assert not store.list("cache/pictures")
    assert run_jobs(dubs["fr"]).pictures == 1
    assert store.list("cache/pictures")
    forget(store, "ruby")
    assert not [*store.list("cache/pictures"), *store.list("renders")]


def test_films_of_a_run_become_a_package(run_jobs: RunJobs, dubs: dict[str, dict[str, str]], tmp_path: Path) -> None:
    for language, job in dubs.items():
        texts = tmp_path / f"{language}.srt"
        texts.write_text(f"1\n00:00:00,000 --> 00:00:00,300\nHello in {language}\n")
        job |= {"subtitles": str(texts), "job_id": f"welcome.{language}"}
    summary = run_jobs(*dubs.values())
    films = manifest_rows(summary)
    store, out = str(Path(summary.manifest).parents[2]), tmp_path / "out"
    for kind in ("mp4", "hls"):
        done = CliRunner().invoke(app, ["export", "latest", str(out), "--store", store, "--package", kind])
        assert done.exit_code == 0, done.output
        assert "1 package exported, 0 already there, with 3 films" in done.stderr
    with av.open(str(out / "Ruby/welcome.mp4")) as file:
        assert [stream.language for stream in file.streams.audio] == ["eng", "fra", "por"]
        assert [stream.language for stream in file.streams.subtitles] == ["eng", "fra", "por"]
    assert {packets(str(out / "Ruby/welcome.mp4"))} == {packets(row["full_uri"]) for row in films.values()}
    assert "Hello in pt-BR" in (out / "Ruby/welcome/subtitles-pt-BR/subtitles.vtt").read_text()
