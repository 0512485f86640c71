"""Rows that stand for many languages."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalogs.requests.access.input_policy import InputPolicy
from catalogs.requests.jobs_file import cross_product, read_jobs
from troupe import Job
from troupe.errors import BadJob

HEADER = "job_id,portrait,driving,audio,languages,language\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a portrait, a clip and sounds in three languages."""
    for name in ("p.png", "c.mp4", "dub.en.wav", "dub.fr.wav", "dub.pt-BR.wav", "dub.final.wav", "notes.txt"):
        (tmp_path / name).write_text(name)
    (tmp_path / "xx").mkdir()
    return tmp_path


def jobs(folder: Path, *rows: str, defaults: dict[str, str] | None = None) -> list[Job]:
    path = folder / "jobs.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return read_jobs(str(path), defaults)


def test_named_languages_become_one_job_each(folder: Path) -> None:
    found = jobs(folder, "welcome,p.png,c.mp4,dub.{language}.wav,en;pt-BR,")
    assert [(job.job_id, job.language, job.audio) for job in found] == [
        ("welcome.en", "en", f"{folder}/dub.en.wav"),
        ("welcome.pt-BR", "pt-BR", f"{folder}/dub.pt-BR.wav"),
    ]


def test_languages_are_found_by_their_files(folder: Path) -> None:
    found = jobs(folder, ",p.png,c.mp4,dub.{language}.wav,,")
    assert [(job.job_id, job.language) for job in found] == [
        ("p__c__en__dub", "en"),
        ("p__c__fr__dub", "fr"),
        ("p__c__pt-BR__dub", "pt-BR"),
    ]


def test_a_row_with_one_language_is_one_job(folder: Path) -> None:
    (job,) = jobs(folder, "a,p.png,c.mp4,dub.{language}.wav,,fr")
    assert (job.job_id, job.language, job.audio) == ("a", "fr", f"{folder}/dub.fr.wav")


def test_one_portrait_and_one_clip_with_sounds_from_the_command_line(folder: Path) -> None:
    defaults = {"audio": f"{folder}/dub.{{language}}.wav", "languages": "en fr"}
    found = cross_product(f"{folder}/p.png", f"{folder}/c.mp4", defaults)
    assert [(job.language, job.audio) for job in found] == [
        ("en", f"{folder}/dub.en.wav"),
        ("fr", f"{folder}/dub.fr.wav"),
    ]


def test_a_portrait_and_a_clip_mean_the_same_in_every_working_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (job,) = cross_product("p.png", "c.mp4")
    assert (job.portrait, job.driving) == (f"{folder}/p.png", f"{folder}/c.mp4")


def test_all_problems_are_reported_together(folder: Path) -> None:
    with pytest.raises(BadJob) as raised:
        jobs(
            folder,
            "a,p.png,c.mp4,dub.{language}.wav,de;en;ko,",
            "b,p.png,c.mp4,dub.en.wav,en;fr,",
            "c,p.png,c.mp4,dub.{language}.wav,en;xx,",
            "d,p.png,c.mp4,dub.{language}.wav,en;EN,",
            "e,p.png,c.mp4,dub.{language}.wav,en;fr,de",
            "f,p.png,c.mp4,missing.{language}.wav,,",
            "g,p.png,c.mp4,{language}/dub.wav,,",
        )
    text = str(raised.value)
    for expected in (
        "row 1 (line 2): audio for de:",
        "row 1 (line 2): audio for ko:",
        "row 2 (line 3): languages is en;fr, but neither audio nor tracks has {language}",
        "xx is not a language",
        "names a language twice",
        "row 5 (line 6): has both language and languages",
        "row 6 (line 7): there is no file like",
        "row 7 (line 8): ",
    ):
        assert expected in text, text


def test_languages_without_a_placeholder_are_reported_once(folder: Path) -> None:
    for name in ("q.png", "r.png"):
        (folder / name).write_text(name)
    with pytest.raises(BadJob) as raised:
        cross_product(str(folder), f"{folder}/c.mp4", {"languages": "en;fr", "audio": f"{folder}/dub.en.wav"})
    assert len(raised.value.problems) == 1
    assert "languages is en;fr, but neither audio nor tracks has {language}" in raised.value.problems[0]
    with pytest.raises(BadJob) as raised:
        jobs(folder, "a,p.png,c.mp4,,,", "b,p.png,c.mp4,,,", defaults={"languages": "en;fr"})
    assert len(raised.value.problems) == 1


def test_a_policy_limits_where_languages_are_looked_up(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("private")
    (elsewhere / "salary.en.wav").write_text("x")
    (folder / "jobs.csv").write_text(
        f"portrait,driving,audio,languages\np.png,c.mp4,{elsewhere}/salary.{{language}}.wav,\n"
        f"p.png,c.mp4,{elsewhere}/salary.{{language}}.wav,fr\np.png,c.mp4,dub.{{language}}.wav,\n"
    )
    policy = InputPolicy((str(folder),))
    with pytest.raises(BadJob) as raised:
        read_jobs(str(folder / "jobs.csv"), policy=lambda: policy)
    assert [problem.partition(" is outside of what this run may read")[0] for problem in raised.value.problems] == [
        f"row 1 (line 2): {elsewhere}",
        f"row 2 (line 3): audio for fr: {elsewhere}/salary.fr.wav",
    ]
