"""Runs that are resumed, retried, listed and planned; in this process, with a real model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from catalogs.query.attempts import rejected_films
from catalogs.query.jobs import list_jobs
from catalogs.retention.store_policy import change_policy
from catalogs.review.decision import Decision
from catalogs.review.decisions import Decisions
from catalogs.store.store import open_store
from catalogs.table.runs import list_runs, read_run, write_run
from flows.cli import app
from flows.local import animate_locally
from tasks.run.request import Request
from tests.flows.jobs import manifest_rows
from troupe.errors import SettingsError

TIMES = ("started_at", "finished_at", "recorded_at", "attempts", "worker")


@pytest.fixture
def request_of(tmp_path: Path, weights: Path, cast: Path) -> Callable[..., Request]:
    """Return a function that makes a request for jobs named by their portraits, all with the same clip."""

    def make(*portraits: str, **more: Any) -> Request:
        jobs = tmp_path / "jobs.jsonl"
        rows = [{"job_id": Path(p).stem, "portrait": p, "driving": f"{cast}/clips/hello.mp4"} for p in portraits]
        jobs.write_text("".join(json.dumps(row) + "\n" for row in rows))
        values: dict[str, Any] = {"store": str(tmp_path / "store"), "weights": str(weights), "jobs": str(jobs)}
        return Request(**values | {"defaults": {"preset": "sketch"}} | more)

    return make


def cli(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def lasting(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the columns that do not depend on when and where a job was done."""
    return {
        job: {name: value for name, value in row.items() if name not in TIMES and not name.startswith("seconds_")}
        for job, row in rows.items()
    }


def test_a_killed_run_resumes_under_its_run_id_with_the_same_manifest(
    request_of: Callable[..., Request], cast: Path, tmp_path: Path
) -> None:
    request = request_of(f"{cast}/portraits/ruby.png", f"{cast}/portraits/olive.png", run_id="night")
    whole = lasting(manifest_rows(animate_locally(replace(request, store=str(tmp_path / "other")))))
    first = animate_locally(request)
    store = open_store(request.store)
    # As if it had been killed after a render and before its row.
    for part in (Path(request.store) / "catalog").rglob("*.*"):
        part.unlink()
    again = animate_locally(request)
    assert again.counts == {"done": 2}
    assert (again.evaluations, again.files_put) == (0, 0)
    found = lasting(manifest_rows(again))
    assert found == {
        job: row | {name: str(row[name]).replace("/other/", "/store/") for name in ("full_uri", "poster_uri")}
        for job, row in whole.items()
    }
    assert all(row["seconds_denoise"] for row in manifest_rows(again).values())

    files = store.list("catalog")
    once_more = animate_locally(request)
    assert (once_more.counts, len(list_jobs(store))) == ({"done": 2}, 2)
    assert store.list("catalog") == files, "rows that are there are not written again"
    with pytest.raises(SettingsError, match="has other jobs"):
        animate_locally(request_of(f"{cast}/portraits/ruby.png", run_id="night"))
    assert [run.state for run in list_runs(store)] == ["completed"]
    assert first.run_id == "night"


def test_retry_does_only_failed_jobs(request_of: Callable[..., Request], cast: Path, tmp_path: Path) -> None:
    Image.new("RGB", (300, 300), "grey").save(tmp_path / "nobody.png")
    request = request_of(
        f"{cast}/portraits/ruby.png", f"{tmp_path}/late.png", f"{tmp_path}/nobody.png", run_id="r", limit=3
    )
    assert animate_locally(request).counts == {"done": 1, "failed": 2}
    (tmp_path / "late.png").symlink_to(cast / "portraits" / "olive.png")
    with pytest.raises(SettingsError, match="no failures of kind typo, only missing_input, no_face"):
        replace(request, retry=("typo",)).job_list  # noqa: B018
    ended = cli("retry", "latest", "--store", request.store, "--failed-kind", "missing_input", "--local")
    assert ended.exit_code == 0, ended.output
    table = {row["job_id"]: row for row in list_jobs(open_store(request.store), run="r").to_pylist()}
    assert {job: row["status"] for job, row in table.items()} == {"ruby": "done", "late": "done", "nobody": "failed"}
    manifest = {
        row["job_id"]: row["status"]
        for row in pq.read_table(Path(request.store, "runs/r/manifest.parquet")).to_pylist()
    }
    assert manifest == {"ruby": "done", "late": "done", "nobody": "failed"}
    run = read_run(open_store(request.store), "r")
    assert (run.state, run.jobs, run.counts) == ("completed", 3, {"done": 2, "failed": 1})
    assert cli("retry", "r", "--store", request.store, "--local").exit_code == 3
    assert cli("retry", "unknown", "--store", request.store, "--local").exit_code == 2


def test_retry_may_read_more_than_the_run(request_of: Callable[..., Request], cast: Path) -> None:
    request = request_of(f"{cast}/portraits/ruby.png", run_id="nightly", allow_input=())
    assert animate_locally(request).counts == {"failed": 1}
    ended = cli("retry", "nightly", "--store", request.store, "--failed-kind", "not_allowed", "--local")
    assert ended.exit_code == 3, ended.output
    ended = cli("retry", "nightly", "--store", request.store, "--allow-input", cast, "--local")
    assert ended.exit_code == 0, ended.output


def test_no_job_starts_after_stop_after(request_of: Callable[..., Request], cast: Path) -> None:
    request = request_of(f"{cast}/portraits/ruby.png", f"{cast}/portraits/olive.png", run_id="short", stop_after=0.0)
    assert animate_locally(request).counts == {"cancelled": 2}
    assert read_run(open_store(request.store), "short").state == "cancelled"


def test_runs_are_listed_with_their_state(request_of: Callable[..., Request], cast: Path, tmp_path: Path) -> None:
    request = request_of(f"{tmp_path}/nowhere.png", run_id="one")
    animate_locally(request)
    store = open_store(request.store)
    done = read_run(store, "one")
    assert (done.state, done.jobs, done.counts) == ("completed", 1, {"failed": 1})
    assert done.request["weights"] == request.weights
    now = datetime.now(UTC)
    write_run(store, replace(done, run_id="two", state="running", started_at=now, updated_at=now, where="other:1"))
    write_run(store, replace(done, run_id="three", state="running", updated_at=now - timedelta(hours=1)))
    listed = json.loads(cli("runs", "--store", request.store, "--format", "json").stdout)
    assert {run["run_id"]: run["state"] for run in listed} == {"one": "completed", "two": "running", "three": "crashed"}
    assert listed[0]["run_id"] == "two"
    live = cli("runs", "--live", "--store", request.store).stdout.splitlines()
    assert len(live) == 2
    assert "two\trunning" in live[1]
    assert "still running" in cli("retry", "two", "--store", request.store).output
    assert cli("runs", "--store", tmp_path / "empty").exit_code == 2


def test_plan_estimates_a_run_without_doing_it(request_of: Callable[..., Request], cast: Path, tmp_path: Path) -> None:
    request = request_of(f"{cast}/portraits/ruby.png", f"{cast}/portraits/olive.png", f"{tmp_path}/nowhere.png")
    words = ("plan", request.jobs, "--store", request.store, "--weights", request.weights, "--preset", "sketch")

    def plan(*more: str) -> dict[str, Any]:
        ended = cli(*words, "--format", "json", *more)
        assert ended.exit_code == 3, ended.output  # one of the jobs would fail
        found: dict[str, Any] = json.loads(ended.stdout)
        return found

    before = plan()
    assert not Path(request.store).exists()
    assert (before["jobs"], before["pictures"], before["films"], before["reused"]) == (3, 2, 2, 0)
    assert (before["identities"], before["clips"], before["tracks"]) == ([2, 2], [1, 1], [1, 1])
    assert before["counts"]["identities"] == {"requested": 2, "missing": 2}
    assert plan("--identity-from", "folder")["identities"] == [1, 2]  # two portraits of one label
    assert before["frames"] == {"sketch": 20}
    assert before["worker_hours"] is None
    assert list(before["problems"]) == ["nowhere"]
    animate_locally(replace(request, limit=1))
    after = plan("--price", "3600", "--workers", "2")
    assert (after["pictures"], after["films"], after["reused"]) == (1, 1, 1)
    assert (after["identities"], after["clips"], after["tracks"]) == ([2, 1], [1, 0], [1, 0])
    basis = after["basis"]["sketch"]
    assert (basis["jobs"], basis["frames"], basis["same_weights"], basis["device"]) == (1, 10, True, "cpu")
    assert after["worker_hours"] == pytest.approx(10 * basis["seconds_a_frame"] / 3600)
    assert after["cost"] == pytest.approx(3600 * after["worker_hours"])
    assert after["run_hours"] == after["worker_hours"] / 2
    text = cli(*words, "--seed", "7").stdout
    assert "2 pictures to render, 2 films to make" in text
    assert "jobs with these weights on cpu" in text


@pytest.mark.long
def test_rejected_films_are_made_again_by_rules_and_people(
    request_of: Callable[..., Request], cast: Path, tmp_path: Path
) -> None:
    request = request_of(f"{cast}/portraits/ruby.png", f"{cast}/portraits/olive.png", run_id="first")
    store = open_store(request.store)
    change_policy(store, {"review": ["reject if frames > 9"]})
    animate_locally(request)
    films = {row["job_id"]: row for row in list_jobs(store).to_pylist()}
    assert {row["review"] for row in films.values()} == {"rejected"}
    Decisions(store).add(Decision("Ana", "picture", films["olive"]["picture_key"], "approved"))
    ended = cli("retry", "--rejected", "--store", request.store, "--local")
    assert ended.exit_code == 0, ended.output
    (again,) = (row for row in list_jobs(store).to_pylist() if row["run_id"] != "first")
    assert (again["job_id"], again["seed"], again["replaces"]) == ("ruby", 1, films["ruby"]["render_key"])
    assert again["checksum"] != films["ruby"]["checksum"]
    # The rule rejected that, too; the film that it replaces is not made a third time.
    assert [film["render_key"] for film in rejected_films(store)] == [again["render_key"]]
    shown = cli("catalog", "show", "ruby", "--store", request.store)
    assert shown.output.count("rule: reject if frames > 9") >= 2
    assert "attempts" in shown.output
    out = tmp_path / "out"
    assert cli("export", "all", out, "--store", request.store, "--approved").exit_code == 0
    assert [path.stem for path in out.rglob("*.mp4")] == ["olive"]
    for words in (["--seed-step", "2", "latest"], ["--rejected", "--failed-kind", "store"], []):
        assert cli("retry", "--store", request.store, *words).exit_code == 2
