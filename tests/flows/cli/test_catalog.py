"""`troupe catalog ls` against a real catalog."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from catalogs.store.store import open_store
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.schema import SCHEMA, make_row
from flows.cli import app
from troupe import Job
from troupe.errors import NoFace

NOW = datetime(2026, 11, 22, 17, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two runs: 25 jobs that went well; two more, one of them not."""
    url = str(tmp_path_factory.mktemp("catalog") / "store")
    place = open_store(url)

    def row(run: str, job: str, identity: str, status: str = "done", **columns: object) -> dict[str, object]:
        asked = Job(job_id=job, portrait="p.png", driving="d.mp4", identity=identity)
        return make_row(run, asked, status, started_at=NOW, finished_at=NOW, **columns)

    with RowBuffer(place, "first") as ledger:
        for number in range(25):
            ledger.append(row("first", f"job-{number:02}", "ada", frames=44, seconds=1.76, full_uri=f"{number}.mp4"))
    with RowBuffer(place, "second") as ledger:
        ledger.append(row("second", "good", "bob", "reused", frames=10, seconds=0.4, crop_uri="crop.mp4"))
        ledger.append(row("second", "bad", "ada", "failed", error=NoFace("no face found in p.png")))
    return url


def ls(store: str, *words: str) -> Result:
    return CliRunner().invoke(app, ["catalog", "ls", "--store", store, *words])


def cells(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, result.output
    header, *rows = (line.split("\t") for line in result.stdout.splitlines())
    assert header == ["finished (UTC)", "run", "job", "status", "identity", "frames", "seconds", "video or error"]
    return rows


def test_table_shows_the_newest(store: str) -> None:
    result = ls(store)
    rows = cells(result)
    assert rows[0] == ["2026-11-22 17:05", "second", "bad", "failed", "ada", "", "", "no face found in p.png"]
    assert rows[1][2:] == ["good", "reused", "bob", "10", "0.40", "crop.mp4"]
    assert rows[2][2:] == ["job-24", "done", "ada", "44", "1.76", "24.mp4"]
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
    assert set(rows[0]) == set(SCHEMA.names)


def test_csv_has_every_column_and_row(store: str) -> None:
    result = ls(store, "--format", "csv", "--run", "first")
    assert result.stderr == ""
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert len(rows) == 25
    assert set(rows[0]) == set(SCHEMA.names)


def test_nothing_there_is_said_beside_the_output(tmp_path: Path, store: str) -> None:
    empty = ls(str(tmp_path / "new"))
    assert cells(empty) == []
    assert "is empty" in empty.stderr
    assert not (tmp_path / "new").exists()
    assert json.loads(ls(str(tmp_path / "new"), "--format", "json", "--run", "latest").stdout) == []
    assert "no such rows" in ls(store, "--identity", "eve").stderr


def test_unknown_status(store: str) -> None:
    result = ls(store, "--status", "broken")
    assert result.exit_code == 2
    assert result.stderr == "error: no status 'broken'; there are done, reused, failed, cancelled, forgotten\n"
