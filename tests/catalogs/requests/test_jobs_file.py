"""catalogs.requests.jobs_file: valid requests and invalid ones."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from fractions import Fraction
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogs.requests.drafts import Rules
from catalogs.requests.jobs_file import COLUMNS, IdentityFrom, parse_jobs, read_jobs
from tests.catalogs.requests.conftest import parse, problems
from tests.catalogs.requests.example_jobs import FULL, JOBS, cells_of
from tests.s3 import BUCKET
from troupe import Job
from troupe.errors import BadJob, MissingInput


def test_a_minimal_jobs_file() -> None:
    assert parse("portrait,driving\nana.png,s3://clips/wave.mp4\n") == [
        Job("ana__wave", "/data/ana.png", "s3://clips/wave.mp4")
    ]


def test_every_column_in_every_kind_of_file(tmp_path: Path) -> None:
    cells = {
        "portrait": "ana.png",
        "driving": "/clips/wave.mp4",
        "job_id": "a.b_c-1",
        "identity": "Ana Ö.",
        "face": "index:1",
        "driving_face": "10,20.5",
        "tracks": "s3://tracks/wave.parquet",
        "start": 1.5,
        "end": 12,
        "audio": "voice.wav",
        "language": "pt-BR",
        "output": "both",
        "fps": "29.97",
        "gaps": "cut",
        "crop": "follow",
        "blend": "reference",
        "quality": 20,
        "master": "prores",
        "preset": "draft",
        "seed": 2**63 - 1,
        "consent": "form 12, page 3",
        "audio_track": "language:en-GB",
        "video_track": "index:1",
        "size": "1280x720",
        "fit": "stretch+bounce",
        "stretch_limit": "25%",
        "loudness": -23,
        "subtitles": "ana.vtt",
        "subtitles_language": "pt-BR",
        "subtitles_burn": "true",
        "label": "AI-generated",
        "watermark": "required",
        "lips": "sound",
        "replaces": "0123abcd",
    }
    assert set(cells) | {"tags", "languages"} == set(COLUMNS)
    assert {field.name for field in dataclasses.fields(Job)} <= set(COLUMNS)
    for tags in ("campaign=spring;take=2", '{"campaign": "spring", "take": 2}'):
        sink = io.StringIO()
        writer = csv.DictWriter(sink, [*cells, "tags"])
        writer.writeheader()
        writer.writerow({**cells, "tags": tags})
        (tmp_path / "jobs.csv").write_text("\ufeff" + sink.getvalue(), encoding="utf-8")
        (tmp_path / "jobs.jsonl").write_text(json.dumps({**cells, "tags": tags}))
        paths = {"portrait": "ana.png", "audio": "voice.wav", "subtitles": "ana.vtt"}
        expected = dataclasses.replace(FULL, **{column: f"{tmp_path}/{name}" for column, name in paths.items()})
        assert read_jobs(str(tmp_path / "jobs.csv")) == [expected]
        assert read_jobs(str(tmp_path / "jobs.jsonl")) == [expected]
    nested = {**cells, "tags": {"campaign": "spring", "take": 2, "note": None}}
    assert parse("\n" + json.dumps(nested) + "\n\n", "JOBS.JSONL") == [FULL]
    for nested_tags in ({"campaign": "spring", "take": "2"}, [("campaign", "spring"), ("take", "2")]):
        kind = None if isinstance(nested_tags, dict) else pa.map_(pa.string(), pa.string())
        table = pa.Table.from_pylist([cells]).append_column("tags", pa.array([nested_tags], kind))
        file = io.BytesIO()
        pq.write_table(table, file)
        assert parse_jobs(file.getvalue(), "jobs.parquet", "/data") == [FULL]


def test_empty_cells_and_rows_are_ignored() -> None:
    text = "portrait,driving,seed,end,face,tags,,\n\n a.png , b.mp4 ,,,,,,\n,,,,,,,\nc.png,d.mp4,  7,,,,\n"
    assert parse(text) == [Job("a__b", "/data/a.png", "/data/b.mp4"), Job("c__d", "/data/c.png", "/data/d.mp4", seed=7)]
    table = pa.table(
        {"portrait": ["a.png"], "driving": ["b.mp4"], "seed": [3.0], "end": [float("nan")], "tags": [None]}
    )
    sink = io.BytesIO()
    pq.write_table(table, sink)
    assert parse_jobs(sink.getvalue(), "x.parquet", "/data") == [Job("a__b", "/data/a.png", "/data/b.mp4", seed=3)]


def test_all_problems_are_reported_together_by_row() -> None:
    text = (
        "portrait,driving,job_id,face,start,end,preset,output,audio,seed,language,tags,fps,portrit\n"
        "a.png,,../x,first,soon,,exct,ful,drivng,1.5,English,a,fast,\n"
        "\n"
        "a.png,b.mp4,x,largest,5,3,exact,full,none,0,en,a=1;a=2,,\n"
        "k:Sesame/a.png,s3://k:Sesame@b/c.mp4,x,largest,-1,inf,exact,full,none,9223372036854775808,en,=1,,\n"
        "a.png,b.mp4\n"
    )
    found = problems(text)
    expected = [
        "header: column 'portrit' is unknown; did you mean 'portrait'?",
        "row 1 (line 2): job_id is '../x'; use letters and digits of any script, '.', '_' and '-', at most 128 bytes",
        "row 1 (line 2): face is 'first'; use largest, index:N or x,y (pixels)",
        "row 1 (line 2): start is 'soon'; use seconds, such as 12.5",
        "row 1 (line 2): audio is 'drivng'; use driving, none or the URI of an audio file",
        "row 1 (line 2): language is 'English'; use a BCP 47 tag, such as en, pt-BR or zh-Hant",
        "row 1 (line 2): output is 'ful'; use full, crop or both; did you mean 'full'?",
        "row 1 (line 2): fps is 'fast'; use 1 to 240 frames per second, such as 25, 29.97 or 30000/1001",
        "row 1 (line 2): preset is 'exct'; use exact, draft, fast or sketch; did you mean 'exact'?",
        "row 1 (line 2): seed is '1.5'; use an integer from 0 to 9223372036854775807",
        "row 1 (line 2): tags is 'a'; write name=value;name=value or a JSON object",
        "row 1 (line 2): driving is empty",
        "row 3 (line 4): tags names 'a' twice",
        "row 3 (line 4): end is 3, which is not after start, 5",
        "row 4 (line 5): driving is 's3://***@b/c.mp4' with credentials; set them as environment variables of its "
        "storage service instead",
        "row 4 (line 5): start is '-1'; use seconds, such as 12.5",
        "row 4 (line 5): end is 'inf'; use seconds, such as 12.5",
        "row 4 (line 5): seed is '9223372036854775808'; use an integer from 0 to 9223372036854775807",
        "row 4 (line 5): tags has a value without a name",
        "row 4 (line 5): job_id 'x' is already used in row 3 (line 4)",
        "row 5 (line 6): has 2 cells, the header 14",
    ]
    assert found == expected
    assert problems("portrait,driving\na.png,https://u:Sesame@host/c.mp4\n") == [
        "row 1 (line 2): driving is 'https://***@host/c.mp4' with credentials; use a URL without user and password, "
        "such as a presigned one"
    ]


@pytest.mark.parametrize(("source", "identity"), [("stem", "Ana Mar\u00eda"), ("folder", "cast"), (None, "")])
def test_identities_from_paths(source: IdentityFrom | None, identity: str, tmp_path: Path) -> None:
    text = "portrait,driving,identity\ncast/Ana Mar\u00eda.png,a.mp4,\ncast/x.png,b.mp4,Bo\n"
    jobs = parse_jobs(text.encode(), "x.csv", "/data", rules=Rules(identity_from=source))
    assert [job.identity for job in jobs] == [identity, "Bo"]


def test_defaults_fill_empty_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    defaults = {"preset": "draft", "seed": "7", "audio": "voice.wav", "output": "crop"}
    one, two = parse("portrait,driving,output,seed\na,b,,\na,b,both,0\n", defaults=defaults)
    assert (one.preset, one.seed, one.audio, one.output) == ("draft", 7, str(tmp_path / "voice.wav"), "crop")
    assert (two.preset, two.seed, two.output) == ("draft", 0, "both")
    yaml = {"seed": 7, "fps": 29.97, "loudness": -16, "stretch_limit": 0.15}
    (job,) = parse("portrait,driving\na,b\n", defaults=yaml)
    assert (job.seed, job.fps, job.loudness, job.stretch_limit) == (7, Fraction(30000, 1001), -16, 0.15)
    wrong = "label has the type bool; write text or a number"
    assert problems("portrait,driving\na,b\n", defaults={"label": False}) == [f"--{wrong}"]
    assert problems(
        "portrait,driving\na,b\n", defaults={"preset": "x", "job_id": "a", "portrait": "b", "sed": "1"}
    ) == [
        "defaults: column 'job_id' cannot have a default",
        "defaults: column 'portrait' cannot have a default",
        "defaults: column 'sed' cannot have a default",
        "--preset is 'x'; use exact, draft, fast or sketch",
    ]


def test_a_wrong_option_is_not_a_problem_of_the_file() -> None:
    text = "portrait,driving,fps\na,b,{}\n"
    wrong = {"preset": "turbo", "lips": "sund", "watermark": "of", "audio": "dubs", "subtitles_burn": "x", "fps": "x"}
    with pytest.raises(BadJob) as caught:
        parse(text.format(""), defaults=wrong)
    assert caught.value.message == "the request has 6 problems:"
    for option, problem in zip(wrong, caught.value.problems, strict=True):
        known = f"--{option.replace('_', '-')} is" if option != "fps" else "defaults: fps is"
        assert problem.startswith(known), problem
    with pytest.raises(BadJob, match=r"^the request has 2 problems:\n  --preset is 'turbo'.*\n  row 1 \(line 2\): fps"):
        parse(text.format("x"), defaults={"preset": "turbo"})
    with pytest.raises(BadJob, match=r"^jobs.csv has a problem:"):
        parse(text.format("x"))


def test_columns_by_other_names() -> None:
    (job,) = parse("Portrait,DRIVING,Job_ID\na,b,c\n")
    assert (job.portrait, job.driving, job.job_id) == ("/data/a", "/data/b", "c")
    found = problems("Picture,Clip,Sound,Lang,portrit\na,b,,,\n")
    for number, name in enumerate(("portrait", "driving", "audio", "language", "portrait")):
        assert found[number].endswith(f"did you mean '{name}'?"), found
    assert problems("portrait,Portrait,driving\na,b,c\n") == [
        "header: column 'Portrait' is unknown; did you mean 'portrait'?"
    ]


def test_a_label_that_is_nearly_a_known_one(caplog: pytest.LogCaptureFixture) -> None:
    """It is a text, which may be meant."""
    texts = ("ai-genrated", "AI modified", "off", "Campaign 7", "ai-generated")
    jobs = parse("portrait,driving,label\n" + "".join(f"a,b{n},{text}\n" for n, text in enumerate(2 * texts)))
    assert [job.label for job in jobs][:5] == list(texts)
    assert [record.getMessage() for record in caplog.records] == [
        "label: 'ai-genrated' is drawn as this text; did you mean ai-generated?",
        "label: 'AI modified' is drawn as this text; did you mean ai-modified?",
        "label: 'off' is drawn as this text; did you mean none?",
    ]


def test_loudness_is_a_number_alone() -> None:
    assert problems("portrait,driving,loudness\na,b,-23 LUFS\n") == [
        "row 1 (line 2): loudness is '-23 LUFS'; write the number alone, without a unit, such as -23"
    ]


def test_consent() -> None:
    text = "portrait,driving,consent\na,b,form 1\nc,d,\n"
    assert len(parse(text)) == 2
    assert problems(text, rules=Rules(require_consent=True)) == [
        "row 2 (line 3): consent is empty, and this run requires it"
    ]
    assert len(parse(text, rules=Rules(require_consent=True), defaults={"consent": "all signed"})) == 2


def test_paths_are_relative_to_the_jobs_file(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "portrait,driving\n-rf.png,../clips/b.mp4\n/abs/a.png,memory://x/b.mp4\n"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "jobs.csv").write_text(text)
    first, second = read_jobs("in/jobs.csv")
    assert (first.portrait, first.driving) == (f"{tmp_path}/in/-rf.png", f"{tmp_path}/in/../clips/b.mp4")
    assert (second.portrait, second.driving) == ("/abs/a.png", "memory://x/b.mp4")
    with fsspec.open(f"s3://{BUCKET}/requests/in/jobs.csv", "w") as file:
        file.write(text)
    first, second = read_jobs(f"s3://{BUCKET}/requests/in/jobs.csv")
    assert first.portrait == f"s3://{BUCKET}/requests/in/-rf.png"
    assert first.driving == f"s3://{BUCKET}/requests/clips/b.mp4"
    assert (second.portrait, second.driving) == ("/abs/a.png", "memory://x/b.mp4")
    with pytest.raises(MissingInput, match=r"no\.csv does not exist"):
        read_jobs(f"s3://{BUCKET}/requests/no.csv")


@given(st.lists(JOBS, min_size=1, max_size=4, unique_by=lambda job: job.job_id))
@settings(max_examples=60)
def test_round_trips(jobs: list[Job]) -> None:
    lines = "\n".join(json.dumps(cells_of(job)) for job in jobs)
    assert parse(lines, "jobs.jsonl") == jobs
    sink = io.StringIO()
    writer = csv.DictWriter(sink, list(cells_of(jobs[0])))
    writer.writeheader()
    writer.writerows(cells_of(job) for job in jobs)
    assert parse(sink.getvalue()) == jobs


def test_missing_files_are_reported_with_invalid_cells(tmp_path: Path) -> None:
    for name in ("ada.png", "hello.mp4"):
        (tmp_path / name).write_text("x")
    path = tmp_path / "jobs.csv"
    rows = ("ada.png,hello.mp4,x,", "ada.jpg,hello.mp4,1,", "ada.jpg,helo.mp4,1,s3://no/such.wav", ",hello.mp4,1,")
    path.write_text("\n".join(("portrait,driving,seed,audio", *rows)))
    with pytest.raises(BadJob) as caught:
        read_jobs(str(path))
    assert list(caught.value.problems) == [
        "row 1 (line 2): seed is 'x'; use an integer from 0 to 9223372036854775807",
        f"row 2 (line 3): portrait: {tmp_path}/ada.jpg does not exist; did you mean 'ada.png'?",
        f"row 3 (line 4): driving: {tmp_path}/helo.mp4 does not exist; did you mean 'hello.mp4'?",
        "row 4 (line 5): portrait is empty",
    ]
    path.write_text("\n".join(("portrait,driving,seed,audio", *rows[1:3])))
    assert len(read_jobs(str(path))) == 2  # each fails by itself, with these messages
