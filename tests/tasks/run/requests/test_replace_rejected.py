"""tasks.run.requests.replace_rejected: which films are made again, and with which seeds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from catalogs.query.attempts import attempts, rejected_films
from catalogs.requests.jobs_file import write_request
from catalogs.review.decision import Decision
from catalogs.review.decisions import Decisions
from catalogs.store.store import Store, open_store
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.runs import RunInfo, RunState, write_run
from catalogs.table.schema import make_row
from flows.cli import app
from tasks.run.request import Request
from tasks.run.requests.replace_rejected import replacement_requests
from troupe import Job
from troupe.errors import SettingsError

NOW = datetime.now(UTC)


@pytest.fixture
def store(tmp_path: Any) -> Store:
    return open_store(str(tmp_path / "store"))


def make_run(
    store: Store, run_id: str, films: dict[str, Job], state: RunState = "completed", status: Any = "done", **more: Any
) -> None:
    """A run whose jobs ended with these films, by render_key."""
    request = Request(store.url, **{"weights": "weights", "jobs": "/jobs/jobs.csv"} | more).parameters()
    write_run(store, RunInfo(run_id, state, NOW, datetime.now(UTC), request=request))
    write_request(store, run_id, list(films.values()))
    with RowBuffer(store, run_id) as buffer:
        for key, job in films.items():
            buffer.append(make_row(run_id, job, status, started_at=NOW, finished_at=NOW, render_key=key))


def reject(store: Store, *keys: str) -> None:
    Decisions(store).add_all(Decision("Ana", "film", key, "rejected", "mouth") for key in keys)


def job(job_id: str, seed: int = 0, **more: Any) -> Job:
    return Job(job_id, "/faces/ada.png", "/clips/wave.mp4", seed=seed, preset="draft", **more)


def requests_of(store: Store, **options: Any) -> list[Request]:
    with replacement_requests(store, **options) as requests:
        return requests


def test_each_rejected_film_is_made_again_with_a_new_seed(store: Store) -> None:
    make_run(store, "r1", {"k0": job("a"), "k1": job("b", 1), "k2": job("c", 2), "k3": job("d", 7, language="fr")})
    assert not requests_of(store)
    reject(store, "k0", "k1", "k3")
    (request,) = requests_of(store, preset="exact", overrides={"weights": "new", "detector": None})
    assert (request.weights, request.defaults, request.device) == ("new", {}, "auto")
    assert "/jobs" in request.allow_input
    found = {one.replaces: (one.job_id, one.seed, one.preset) for one in request.job_list}
    assert found == {"k0": ("a", 1, "exact"), "k1": ("b", 2, "exact"), "k3": ("d", 8, "exact")}
    # Of jobs that differ in their seeds only, none is made twice.
    (request,) = requests_of(store, seed_step=1)
    assert sorted(one.seed for one in request.job_list) == [3, 4, 8]


def test_only_the_latest_attempt_counts(store: Store) -> None:
    make_run(store, "r1", {"k0": job("a")})
    reject(store, "k0")
    make_run(store, "failed", {"x": job("a", 1, replaces="k0")}, status="failed")
    assert [film["render_key"] for film in rejected_films(store)] == ["k0"]
    make_run(store, "live", {"x": job("a", 1, replaces="k0")}, state="running", status="cancelled")
    assert not rejected_films(store)
    make_run(store, "r2", {"k1": job("a", 1, replaces="k0")})
    write_run(store, RunInfo("live", "cancelled", NOW, NOW))
    assert not requests_of(store)
    reject(store, "k1")
    (request,) = requests_of(store)
    (again,) = request.job_list
    assert (again.replaces, again.seed, request.run_id not in ("r1", "r2")) == ("k1", 2, True)
    assert not rejected_films(store, "r1")
    family = [(one["render_key"], one["review"], one["replaces"]) for one in attempts(store, "k0") if one["review"]]
    assert family == [("k0", "rejected", None), ("k1", "rejected", "k0")]
    assert not attempts(store, "other")


def test_runs_of_different_settings_are_retried_by_themselves(store: Store) -> None:
    make_run(store, "r1", {"k0": job("a"), "k1": job("b", 4)})
    make_run(store, "r2", {"k2": job("a", 9)})
    make_run(store, "r3", {"k3": job("a", 5)}, dtype="bfloat16")
    reject(store, "k0", "k1", "k2", "k3")
    requests = requests_of(store)
    assert sorted(sorted(one.job_id for one in request.job_list) for request in requests) == [["a"], ["a", "a-2", "b"]]
    assert {request.dtype for request in requests} == {"auto", "bfloat16"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed_step": 0}, "same film"),
        ({"seed_step": -1}, "same film"),
        ({"preset": "fine"}, "unknown preset 'fine'"),
        ({"seed_step": 0, "preset": "draft"}, "has the preset draft already"),
    ],
)
def test_what_would_make_the_same_film_is_refused(store: Store, options: dict[str, Any], message: str) -> None:
    make_run(store, "r1", {"k0": job("a")})
    reject(store, "k0")
    with pytest.raises(SettingsError, match=message):
        requests_of(store, **options)
    assert len(store.list("runs")) == len(store.list("runs/r1"))


def test_a_start_that_fails_leaves_nothing_behind(store: Store) -> None:
    make_run(store, "r1", {"k0": job("a")}, weights="/no/weights")
    make_run(store, "r2", {"k1": job("a")}, weights="/no/weights", dtype="bfloat16")
    reject(store, "k0", "k1")
    before = store.list()
    ended = CliRunner().invoke(app, ["retry", "--rejected", "--store", store.url, "--local"])
    assert ended.exit_code == 2
    assert store.list() == before
