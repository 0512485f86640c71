"""`troupe export`, `forget` and `report`, and what `troupe catalog` has beside `ls`."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from catalogs.requests.jobs_file import write_request
from catalogs.store.store import open_store
from catalogs.table.manifest import write_manifest
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.schema import make_row
from flows.cli import app
from tests.flows.cli.test_catalog import NOW
from troupe import Job
from troupe.errors import NoFace


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A run with two videos of two people, and a failure."""
    url = str(tmp_path / "store")
    place = open_store(url)
    jobs = [
        Job("one", "/p/ada.png", "/c/wave.mp4", identity="ada", language="en", tags={"scene": "1"}),
        Job("two", "/p/bob.png", "/c/wave.mp4", identity="bob", seed=7),
        Job("bad", "/p/x.png", "/c/wave.mp4"),
    ]
    write_request(place, "r1", jobs)
    with RowBuffer(place, "r1") as ledger:
        for job in jobs[:2]:
            key = f"key-{job.job_id}"
            place.put_bytes(job.job_id.encode(), f"renders/{key}/full.mp4")
            columns = {"render_key": key, "full_uri": place.uri(f"renders/{key}/full.mp4"), "quality_identity": 0.5}
            ledger.append(make_row("r1", job, "done", started_at=NOW, finished_at=NOW, frames=9, **columns))
        failed = make_row("r1", jobs[2], "failed", started_at=NOW, finished_at=NOW, error=NoFace("none"))
        ledger.append(failed)
    write_manifest(place, "r1")
    return url


def troupe(*words: str, give: str | None = None) -> Result:
    return CliRunner().invoke(app, list(words), input=give)


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
def test_export(store: str, tmp_path: Path, words: list[str], files: set[str]) -> None:
    what, *more = words
    result = troupe("export", what, str(tmp_path / "out"), "--store", store, *more)
    assert result.exit_code == 0, result.output
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.mp4")}
    assert found == files
    assert set(pq.read_table(result.stdout.strip()).column("file").to_pylist()) == files


def test_exports_that_cannot_be(store: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    for words, message in (
        (["r9", out], "no finished videos of r9"),
        (["all", out, "--name", "../{job_id}"], "leads out"),
        (["SELECT identity FROM jobs", out], "has to select run_id and job_id"),
        (["SELECT nonsense", out], "cannot be answered"),
    ):
        result = troupe("export", *words, "--store", store)
        assert (result.exit_code, message in result.stderr) == (2, True), result.output
    (Path(store) / "renders/key-two/full.mp4").unlink()
    result = troupe("export", "all", out, "--store", store)
    assert result.exit_code == 3
    assert "missing: two" in result.stderr


def test_forget(store: str) -> None:
    dry = troupe("forget", "--store", store, "--identity", "ada", "--dry-run")
    assert "1 jobs in 1 runs, 1 files" in dry.stderr
    kept = troupe("forget", "--store", store, "--identity", "ada", give="n\n")
    assert kept.exit_code == 1
    assert (Path(store) / "renders/key-one/full.mp4").exists()
    done = troupe("forget", "--store", store, "--identity", "ada", give="y\n")
    assert done.exit_code == 0, done.output
    assert not (Path(store) / "renders/key-one/full.mp4").exists()
    assert "forgotten" in (Path(store) / "runs/r1/report/index.html").read_text()
    assert troupe("forget", "--store", store).exit_code == 2
    assert troupe("forget", "--store", store, "--portrait", "/nowhere.png").exit_code == 2


def test_report(store: str) -> None:
    result = troupe("report", "latest", "--store", store)
    assert result.stdout.strip() == f"{store}/runs/r1/report/index.html"
    assert "key-one/full.mp4" in Path(result.stdout.strip()).read_text()
    assert troupe("report", "r9", "--store", store).exit_code == 2


def test_show(store: str) -> None:
    result = troupe("catalog", "show", "two", "--store", store)
    assert "seed\t7" in result.stdout
    again = result.stdout.splitlines()[-1]
    assert again.startswith('printf \'%s\\n\' \'{"job_id": "two"')
    assert f"troupe run two.jsonl --store {store}" in again
    (row,) = json.loads(troupe("catalog", "show", "one", "--json", "--store", store).stdout)
    assert row["tags"] == {"scene": "1"}
    assert troupe("catalog", "show", "nine", "--store", store).exit_code == 2


def test_the_line_that_makes_it_again_is_one_for_a_shell(store: str, tmp_path: Path) -> None:
    import subprocess

    from catalogs.query.job_details import again_command, job_rows
    from catalogs.requests.jobs_file import read_jobs

    place = open_store(store)
    line = again_command(place, job_rows(place, "one")[0]).split(" && ")[0]
    subprocess.run(["sh", "-c", line], check=True, cwd=tmp_path)
    (job,) = read_jobs(str(tmp_path / "one.jsonl"))
    assert (job.job_id, job.identity, job.tags) == ("one", "ada", {"scene": "1"})


def test_sql(store: str) -> None:
    result = troupe(
        "catalog", "sql", "SELECT status, count(*) AS n FROM jobs GROUP BY ALL ORDER BY n", "--store", store
    )
    assert result.stdout == "status\tn\nfailed\t1\ndone\t2\n"
    piped = troupe("catalog", "sql", "-", "--format", "json", "--store", store, give="SELECT 1 AS one")
    assert json.loads(piped.stdout) == [{"one": 1}]
    refused = troupe("catalog", "sql", "DROP TABLE jobs", "--store", store)
    assert refused.exit_code == 2


def test_rows_to_files_and_pipes(store: str, tmp_path: Path) -> None:
    for suffix in ("parquet", "csv", "json"):
        file = tmp_path / f"rows.{suffix}"
        result = troupe("catalog", "export", str(file), "--store", store, "--status", "done")
        assert "2 rows" in result.stderr
        assert file.stat().st_size > 100
    assert pq.read_table(tmp_path / "rows.parquet").num_rows == 2
    assert troupe("catalog", "export", "rows.txt", "--store", store).exit_code == 2
    piped = troupe("catalog", "ls", "--format", "parquet", "--store", store)
    assert pq.read_table(io.BytesIO(piped.stdout_bytes)).num_rows == 3


def test_stats_and_upkeep(store: str) -> None:
    found = json.loads(troupe("catalog", "stats", "--json", "--store", store).stdout)
    assert (found["jobs"], found["frames_rendered"], found["table"]["files"]) == (3, 18, 1)
    assert "done 2" in troupe("catalog", "stats", "--store", store).stdout
    assert "1 files became 1" in troupe("catalog", "compact", "--z-order", "--store", store).stderr
    assert "0 files" in troupe("catalog", "vacuum", "--dry-run", "--store", store).stderr
    for as_of, jobs in (("0", 0), ("1", 3), ("2020-01-01", 0), ("1h", 0)):
        listed = troupe("catalog", "ls", "--as-of", as_of, "--format", "json", "--store", store)
        assert len(json.loads(listed.stdout)) == jobs
    assert troupe("catalog", "ls", "--as-of", "yesterday", "--store", store).exit_code == 2
    assert troupe("catalog", "ls", "--min", "identity", "--store", store).exit_code == 2
    assert (
        len(json.loads(troupe("catalog", "ls", "--min", "identity=0.4", "--format", "json", "--store", store).stdout))
        == 2
    )
