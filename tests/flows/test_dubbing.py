"""One picture, many languages: films share what was rendered."""

from __future__ import annotations

import hashlib
from pathlib import Path

import av
import pytest

from catalogs.retention.evict import maintain
from catalogs.retention.forget import forget
from catalogs.store.store import open_store
from tests.flows.cast import write_sound
from tests.flows.jobs import JOB, RunJobs, manifest_rows

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


def packets(video: str) -> str:
    """Return a hash of a video's picture as it is encoded."""
    with av.open(video) as file:
        return hashlib.md5(b"".join(bytes(packet) for packet in file.demux(video=0))).hexdigest()


def test_languages_share_one_picture(run_jobs: RunJobs, dubs: dict[str, dict[str, str]]) -> None:
    one = run_jobs(dubs["en"])
    assert (one.pictures, one.films, one.frames) == (1, 1, 10)
    rest = run_jobs(dubs["fr"], dubs["pt-BR"])
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
    assert "1 picture and 1 film made" in one.line()


def test_all_languages_at_once_render_once(run_jobs: RunJobs, dubs: dict[str, dict[str, str]]) -> None:
    summary = run_jobs(*dubs.values())
    assert summary.counts == {"done": 3}
    assert (summary.pictures, summary.films, summary.frames) == (1, 3, 10)
    assert sum(bool(row["seconds_denoise"]) for row in manifest_rows(summary).values()) == 1


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
