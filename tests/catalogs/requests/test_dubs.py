"""Rows that stand for many languages."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalogs.requests.access.input_policy import InputPolicy
from catalogs.requests.drafts import Rules
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


def test_subtitles_are_in_the_language_of_their_sound(folder: Path) -> None:
    for language in ("en", "fr"):
        (folder / f"dub.{language}.srt").touch()
    defaults = {"subtitles": f"{folder}/dub.{{language}}.srt"}
    found = jobs(folder, "a,p.png,c.mp4,dub.{language}.wav,en;fr,", defaults=defaults)
    assert [(job.language, job.subtitles, job.subtitles_language) for job in found] == [
        ("en", f"{folder}/dub.en.srt", ""),
        ("fr", f"{folder}/dub.fr.srt", ""),
    ]
    with pytest.raises(BadJob, match=r"row 1 .*: subtitles for pt-BR: .* does not exist"):
        jobs(folder, "a,p.png,c.mp4,dub.{language}.wav,,", defaults=defaults)


@pytest.mark.parametrize("languages", ["", "en;fr"])
def test_one_sound_with_subtitles_in_many_languages(folder: Path, languages: str) -> None:
    for language in ("en", "fr"):
        (folder / f"dub.{language}.srt").touch()
    defaults = {"subtitles": f"{folder}/dub.{{language}}.srt", "language": "de"} if languages else {}
    found = jobs(
        folder, f",p.png,c.mp4,,{languages},", defaults={"subtitles": f"{folder}/dub.{{language}}.srt"} | defaults
    )
    spoken = "de" if languages else ""
    assert [(job.language, job.subtitles_language) for job in found] == [(spoken, "en"), (spoken, "fr")]
    assert [job.job_id.endswith(f"__{job.subtitles_language}") for job in found] == [True, True]


def test_subtitles_that_are_drawn_are_somebodys(folder: Path) -> None:
    header = "portrait,driving,subtitles,subtitles_burn\n"

    def burned(rows: str, defaults: dict[str, str]) -> list[bool]:
        (folder / "burn.csv").write_text(header + rows)
        return [job.subtitles_burn for job in read_jobs(str(folder / "burn.csv"), defaults)]

    assert burned("p.png,c.mp4,a.srt,\np.png,c.mp4,,\n", {"subtitles_burn": "TRUE"}) == [True, False]
    assert burned("p.png,c.mp4,a.srt,no\np.png,c.mp4,a.srt,1\n", {"subtitles_burn": "true"}) == [False, True]
    with pytest.raises(BadJob, match="no job has subtitles"):
        burned("p.png,c.mp4,,\n", {"subtitles_burn": "true"})
    with pytest.raises(BadJob) as raised:
        burned("p.png,c.mp4,,yes\np.png,c.mp4,a.srt,maybe\n", {})
    assert "row 1 (line 2): subtitles_burn is true, but subtitles is empty" in str(raised.value)
    assert "row 2 (line 3): subtitles_burn is 'maybe'; use true or false" in str(raised.value)


def test_all_problems_are_reported_together(folder: Path) -> None:
    with pytest.raises(BadJob) as raised:
        jobs(
            folder,
            "a,p.png,c.mp4,dub.{language}.wav,de;en;ko,",
            "b,p.png,c.mp4,dub.en.wav,en;fr,",
            "c,p.png,c.mp4,dub.{language}.wav,en;xx;english,",
            "d,p.png,c.mp4,dub.{language}.wav,en;EN,",
            "e,p.png,c.mp4,dub.{language}.wav,en;fr,de",
            "f,p.png,c.mp4,missing.{language}.wav,,",
            "g,p.png,c.mp4,{language}/dub.wav,,",
        )
    text = str(raised.value)
    for expected in (
        "row 1 (line 2): audio for de:",
        "row 1 (line 2): audio for ko:",
        "row 2 (line 3): languages is en;fr, but none of audio, tracks, subtitles has {language}",
        "xx, english are not languages, use BCP 47",
        "names a language twice",
        "row 5 (line 6): has both language and languages",
        "row 6 (line 7): there is no file like",
        "row 7 (line 8): ",
    ):
        assert expected in text, text


def test_another_word_in_braces_is_named(folder: Path) -> None:
    (folder / "odd{lang}.wav").touch()
    with pytest.raises(BadJob) as raised:
        jobs(
            folder,
            "a,p.png,c.mp4,dub.{lang}.wav,,",
            "b,p.png,c.mp4,odd{lang}.wav,,",
            "c,p.png,{language}.mp4,,,",
            "d,p.png,c.mp4,{LANGUAGE}.{language}.wav,en,",
            defaults={"subtitles": f"{folder}/x.{{locale}}.srt"},
        )
    assert [problem for problem in raised.value.problems if "which stands" in problem] == [
        "--subtitles has {locale}, which stands for nothing; write {language}",
        "row 1 (line 2): audio has {lang}, which stands for nothing; write {language}",
        "row 3 (line 4): driving has {language}, which stands for nothing; only audio, tracks, subtitles may have "
        "{language}",
        "row 4 (line 5): audio has {LANGUAGE}, which stands for nothing; write {language}",
    ]


def test_languages_without_a_placeholder_are_reported_once(folder: Path) -> None:
    for name in ("q.png", "r.png"):
        (folder / name).write_text(name)
    with pytest.raises(BadJob) as raised:
        cross_product(str(folder), f"{folder}/c.mp4", {"languages": "en;fr", "audio": f"{folder}/dub.en.wav"})
    assert len(raised.value.problems) == 1
    assert "languages is en;fr, but none of audio, tracks, subtitles has {language}" in raised.value.problems[0]
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
        read_jobs(str(folder / "jobs.csv"), rules=Rules(policy=lambda: policy))
    assert [problem.partition(" is outside of what this run may read")[0] for problem in raised.value.problems] == [
        f"row 1 (line 2): {elsewhere}",
        f"row 2 (line 3): audio for fr: {elsewhere}/salary.fr.wav",
    ]
