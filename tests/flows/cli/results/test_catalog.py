"""`troupe catalog` against a real catalog."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from catalogs.requests.jobs_file import write_request
from catalogs.review.columns import REVIEW_COLUMNS
from catalogs.store.store import open_store
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.runs import RunInfo, write_run
from catalogs.table.schema import SCHEMA, make_row
from flows.cli import app
from tests.flows.cli.conftest import NOW, troupe
from troupe import Job
from troupe.errors import NoFace


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a store with two runs: 25 finished jobs, and one reused and one failed."""
    url = str(tmp_path_factory.mktemp("catalog") / "store")
    place = open_store(url)

    def row(run: str, job: str, identity: str, status: str = "done", **columns: object) -> dict[str, object]:
        job_of_row = Job(job_id=job, portrait="p.png", driving="d.mp4", identity=identity)
        return make_row(run, job_of_row, status, started_at=NOW, finished_at=NOW, **columns)

    with RowBuffer(place, "first") as buffer:
        for number in range(25):
            buffer.append(row("first", f"job-{number:02}", "ada", frames=44, seconds=1.76, full_uri=f"{number}.mp4"))
    with RowBuffer(place, "second") as buffer:
        buffer.append(row("second", "good", "bob", "reused", frames=10, seconds=0.4, crop_uri="crop.mp4"))
        buffer.append(row("second", "bad", "ada", "failed", error=NoFace("no face found in p.png")))
    return url


def ls(store: str, *words: str) -> Result:
    return CliRunner().invoke(app, ["catalog", "ls", "--store", store, *words])


def cells(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, result.output
    header, *rows = (line.split("\t") for line in result.stdout.splitlines())
    assert header == [
        "finished (UTC)",
        "run",
        "job",
        "status",
        "review",
        "identity",
        "frames",
        "seconds",
        "video or error",
    ]
    return rows


def test_table_shows_the_newest(store: str) -> None:
    result = ls(store)
    rows = cells(result)
    assert rows[0] == ["2026-11-22 17:05", "second", "bad", "failed", "", "ada", "", "", "no face found in p.png"]
    assert rows[1][2:] == ["good", "reused", "", "bob", "10", "0.40", "crop.mp4"]
    assert rows[2][2:] == ["job-24", "done", "", "ada", "44", "1.76", "24.mp4"]
    assert len(rows) == 20
    assert "--limit" in result.stderr


def test_limit(store: str) -> None:
    result = ls(store, "--limit", "3")
    assert len(cells(result)) == 3
    assert result.stderr == ""
    assert len(cells(ls(store, "--limit", "100"))) == 27
    assert len(json.loads(ls(store, "--limit", "3", "--format", "json").stdout)) == 3
    assert ls(store, "--limit", "0").exit_code == 2


@pytest.mark.parametrize(
    ("words", "jobs"),
    [
        (["--status", "failed"], ["bad"]),
        (["--identity", "bob"], ["good"]),
        (["--run", "second"], ["bad", "good"]),
        (["--run", "latest"], ["bad", "good"]),
        (["--run", "second", "--identity", "ada", "--status", "failed"], ["bad"]),
        (["--run", "third"], []),
    ],
)
def test_filters(words: list[str], jobs: list[str], store: str) -> None:
    assert [row[2] for row in cells(ls(store, *words))] == jobs


def test_json_has_every_column_and_row(store: str) -> None:
    rows = json.loads(ls(store, "--format", "json").stdout)
    assert len(rows) == 27
    assert set(rows[0]) == {*SCHEMA.names, *REVIEW_COLUMNS}


def test_csv_has_every_column_and_row(store: str) -> None:
    result = ls(store, "--format", "csv", "--run", "first")
    assert result.stderr == ""
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert len(rows) == 25
    assert set(rows[0]) == {*SCHEMA.names, *REVIEW_COLUMNS}


def test_empty_results_are_reported_on_standard_error(tmp_path: Path, store: str) -> None:
    (tmp_path / "new" / "runs").mkdir(parents=True)  # of a run that has no rows yet
    empty = ls(str(tmp_path / "new"))
    assert cells(empty) == []
    assert "is empty" in empty.stderr
    assert json.loads(ls(str(tmp_path / "new"), "--format", "json", "--run", "latest").stdout) == []
    assert "no jobs in" in ls(store, "--identity", "eve").stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--identity adda", "no job has the identity 'adda'; similar: ada"),
        ("--identity ADA --run r9", "no job has the run 'r9'"),
        ("--driving wav.mp4", "no job has the driving clip 'wav.mp4'; similar: wave.mp4"),
        ("--language fr", "no job has the language 'fr'"),
        ("--tag scen=1", "no job has the tag 'scen'; similar: scene"),
        ("--tag scene=2", "no job has the value of tag 'scene' '2'"),
    ],
)
def test_empty_answers_name_what_is_similar(words: str, line: str, delivered: str, tmp_path: Path) -> None:
    for command in (["catalog", "ls"], ["catalog", "stats"], ["export", "all", str(tmp_path / "out")]):
        result = troupe(*command, "--store", delivered, *words.split())
        assert line in " ".join(result.stderr.split())
    assert "no job has" not in troupe("catalog", "ls", "--store", delivered, "--language", "EN").stderr


def test_unknown_status(store: str) -> None:
    result = ls(store, "--status", "broken")
    assert result.exit_code == 2
    assert result.stderr == "error: unknown status 'broken'; use one of done, reused, failed, cancelled, forgotten\n"


def test_show(delivered: str) -> None:
    result = troupe("catalog", "show", "two", "--store", delivered)
    assert "seed\t7" in result.stdout
    again = result.stdout.splitlines()[-1]
    assert again.startswith('printf \'%s\\n\' \'{"job_id": "two"')
    assert f"troupe run two.jsonl --store {delivered}" in again
    assert again.endswith("--weights DIR")

    request = {"weights": "/w/full model", "detector": "/w/scrfd.onnx", "dtype": "bfloat16"}
    write_run(open_store(delivered), RunInfo("r1", "completed", NOW, NOW, request=request))
    again = troupe("catalog", "show", "two", "--store", delivered).stdout.splitlines()[-1]
    assert again.endswith("--weights '/w/full model' --detector /w/scrfd.onnx --dtype bfloat16")
    (row,) = json.loads(troupe("catalog", "show", "one", "--json", "--store", delivered).stdout)
    assert row["tags"] == {"scene": "1"}
    assert troupe("catalog", "show", "nine", "--store", delivered).exit_code == 2


def test_films_of_the_same_picture(tmp_path: Path) -> None:
    place = open_store(str(tmp_path / "store"))
    with RowBuffer(place, "r1") as buffer:
        for name, language in (("one", "fr"), ("two", ""), ("three", "pt-BR")):
            job = Job(name, "p.png", "d.mp4", language=language)
            buffer.append(make_row("r1", job, "done", started_at=NOW, finished_at=NOW, picture_key="k"))
    shown = troupe("catalog", "show", "one", "--store", place.url).stderr
    assert "films of the same picture (--picture k): three (pt-BR), two\n" in shown


def test_show_prints_a_command_that_a_shell_runs(delivered: str, tmp_path: Path) -> None:
    import subprocess

    from catalogs.query.job_details import job_rows, rerun_command
    from catalogs.requests.jobs_file import read_jobs

    place = open_store(delivered)
    line = rerun_command(place, job_rows(place, "one")[0]).split(" && ")[0]
    subprocess.run(["sh", "-c", line], check=True, cwd=tmp_path)
    (job,) = read_jobs(str(tmp_path / "one.jsonl"))
    assert (job.job_id, job.identity, job.tags) == ("one", "ada", {"scene": "1"})


def test_the_command_that_renders_again_signs_as_the_run_did(delivered: str) -> None:
    from catalogs.query.job_details import job_rows, rerun_command

    place, row = open_store(delivered), job_rows(open_store(delivered), "one")[0]
    request = {"weights": "w", "credentials": "/keys/our own", "syncnet": "net.pt"}
    write_run(place, RunInfo(row["run_id"], "completed", NOW, NOW, request=request))
    command = rerun_command(place, row)
    assert command.endswith(" --weights w --credentials '/keys/our own' --syncnet net.pt")


def test_the_command_that_renders_again_allows_the_inputs_of_the_run(delivered: str) -> None:
    from catalogs.query.job_details import job_rows, rerun_command
    from catalogs.requests.access.input_policy import ANY_PUBLIC

    place, row = open_store(delivered), job_rows(open_store(delivered), "one")[0]
    request = {
        "weights": "w",
        "allow_input": [*ANY_PUBLIC, "http://10.0.0.5:8000/clips", "/data/our own"],
        "portraits": "http://10.0.0.6/faces/",
        "drivings": "/data/clips",
        "jobs": "https://10.0.0.7/lists/a.csv",
    }
    thresholds = {"min_identity": 0.5, "max_quality": {"flicker": 2.5}, "fail_quality": True, "require_consent": True}
    write_run(place, RunInfo(row["run_id"], "completed", NOW, NOW, request=request | thresholds))
    assert rerun_command(place, row).endswith(
        " --weights w --min-identity 0.5 --max flicker=2.5 --require-consent --fail-quality "
        "--allow-input http://10.0.0.5:8000/clips --allow-input '/data/our own' "
        "--allow-input http://10.0.0.6/faces/ --allow-input https://10.0.0.7/lists"
    )


def test_the_command_that_renders_again_contains_no_secret(tmp_path: Path) -> None:
    place = open_store(str(tmp_path / "store"))
    job = Job("one", "https://host.example/ruby.png?sig=SECRET123&Expires=5", "d.mp4", tags={"at": "http://x/?token=S"})
    write_request(place, "r1", [job])
    with RowBuffer(place, "r1") as buffer:
        buffer.append(make_row("r1", job, "failed", started_at=NOW, finished_at=NOW, error=NoFace("no face")))
    shown = troupe("catalog", "show", "one", "--store", place.url)
    assert "https://host.example/ruby.png?sig=***&Expires=5" in shown.stdout.splitlines()[-1]
    assert "SECRET123" not in shown.output
    assert "token=S" not in shown.output
    assert "fill in what grants access instead of ***, or run `troupe retry r1 " in shown.stderr


def test_sql(delivered: str) -> None:
    result = troupe(
        "catalog", "sql", "SELECT status, count(*) AS n FROM jobs GROUP BY ALL ORDER BY n", "--store", delivered
    )
    assert result.stdout == "status\tn\nfailed\t1\ndone\t2\n"
    piped = troupe("catalog", "sql", "-", "--format", "json", "--store", delivered, give="SELECT 1 AS one")
    assert json.loads(piped.stdout) == [{"one": 1}]
    refused = troupe("catalog", "sql", "DROP TABLE jobs", "--store", delivered)
    assert refused.exit_code == 2


def test_export_to_files_and_pipes(delivered: str, tmp_path: Path) -> None:
    for suffix in ("parquet", "csv", "json"):
        file = tmp_path / f"rows.{suffix}"
        result = troupe("catalog", "export", str(file), "--store", delivered, "--status", "done")
        assert "2 rows" in result.stderr
        assert file.stat().st_size > 100
    assert pq.read_table(tmp_path / "rows.parquet").num_rows == 2
    assert troupe("catalog", "export", "rows.txt", "--store", delivered).exit_code == 2
    piped = troupe("catalog", "ls", "--format", "parquet", "--store", delivered)
    assert pq.read_table(io.BytesIO(piped.stdout_bytes)).num_rows == 3


def test_stats_and_compaction(delivered: str) -> None:
    found = json.loads(troupe("catalog", "stats", "--json", "--store", delivered).stdout)
    assert (found["jobs"], found["frames_rendered"], found["table"]["files"]) == (3, 18, 1)
    assert "done 2" in troupe("catalog", "stats", "--store", delivered).stdout
    assert "merged 1 file into 1" in troupe("catalog", "compact", "--z-order", "--store", delivered).stderr
    assert "0 files" in troupe("catalog", "vacuum", "--dry-run", "--store", delivered).stderr
    for as_of, jobs in (("0", 0), ("1", 3), ("2020-01-01", 0), ("1h", 0)):
        listed = troupe("catalog", "ls", "--as-of", as_of, "--format", "json", "--store", delivered)
        assert len(json.loads(listed.stdout)) == jobs
    assert troupe("catalog", "ls", "--as-of", "someday", "--store", delivered).exit_code == 2
    assert troupe("catalog", "ls", "--min", "identity", "--store", delivered).exit_code == 2
    assert (
        len(
            json.loads(
                troupe("catalog", "ls", "--min", "identity=0.4", "--format", "json", "--store", delivered).stdout
            )
        )
        == 2
    )


def test_what_a_customer_cost(delivered: str) -> None:
    shown = troupe("catalog", "stats", "--store", delivered, "--by", "tags.scene", "--cost", "2.5")
    assert shown.exit_code == 0, shown.output
    assert "cost" in shown.stdout.splitlines()[0]
    groups = json.loads(troupe("catalog", "stats", "--store", delivered, "--by", "tags.scene", "--json").stdout)
    assert {group["group"] for group in groups} == {"1", None}
    assert troupe("catalog", "stats", "--store", delivered, "--by", "tag").exit_code == 2


def test_grouping_by_an_unknown_tag_names_what_is_similar(delivered: str) -> None:
    result = troupe("catalog", "stats", "--store", delivered, "--by", "tags.scen")
    assert "no job has the tag 'scen'; similar: scene" in result.stderr
    assert "no job" not in troupe("catalog", "stats", "--store", delivered, "--by", "tags.scene").stderr


def test_films_that_wait_for_review_are_pending(delivered: str) -> None:
    assert {row[2]: row[4] for row in cells(ls(delivered))} == {"one": "pending", "two": "pending", "bad": ""}


def test_a_version_that_does_not_exist(delivered: str) -> None:
    result = ls(delivered, "--as-of", "99")
    assert result.exit_code == 2
    assert "has no version 99; it is at version " in result.stderr
    assert "ernel" not in result.stderr
