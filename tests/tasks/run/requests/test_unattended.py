"""Requests that nobody watches."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from catalogs.events import Endpoint, add_endpoint
from catalogs.store.store import Store, open_store
from catalogs.table.runs import RunInfo, list_runs, write_run
from tasks.run.requests.unattended import unattended_request
from tests.receiver import SECRET, receiver
from troupe.errors import TroupeError


@pytest.fixture
def refused(tmp_path: Path) -> dict[str, Any]:
    """Parameters with a jobs file that does not exist, for a store with a run."""
    now = datetime.now(UTC)
    write_run(open_store(str(tmp_path / "store")), RunInfo("before", "completed", now, now))
    return {"store": str(tmp_path / "store"), "weights": "w", "jobs": "nothere.csv", "limit": None, "allow_input": ()}


def check(parameters: dict[str, Any]) -> Store:
    """Check a request that is refused; return its store."""
    with pytest.raises(TroupeError, match=r"nothere\.csv"):
        unattended_request(parameters, [].append)
    return open_store(parameters["store"])


def test_a_refused_request_is_a_run_that_failed_and_an_event(refused: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    with receiver() as got:
        hook = Endpoint("hook", got.url, secret_file=str(tmp_path / "secret"), allow_private=True)
        add_endpoint(open_store(refused["store"]), hook)
        run, _ = list_runs(check(refused))
    assert (run.state, run.jobs, run.counts) == ("failed", 0, {})
    assert "nothere.csv" in run.note
    assert run.request["jobs"] == "nothere.csv"
    assert "limit" not in run.request
    [(_, event)] = got.events
    assert event["type"] == "run.failed"
    assert event["data"]["run_id"] == run.run_id
    assert event["data"]["error_kind"]


def test_several_problems_are_one_line_of_the_note(refused: dict[str, Any]) -> None:
    run, _ = list_runs(check(refused | {"device": "gpu", "dtype": "half"}))
    assert run.note.startswith("the request has 4 problems: ")
    assert "; invalid device 'gpu'" in run.note
    assert "; invalid dtype 'half'" in run.note


def test_a_run_that_has_a_record_keeps_it(refused: dict[str, Any]) -> None:
    before = list_runs(open_store(refused["store"]))
    assert list_runs(check(refused | {"run_id": "before"})) == before


def test_a_mistyped_store_is_not_created(refused: dict[str, Any], tmp_path: Path) -> None:
    check(refused | {"store": str(tmp_path / "stroe")})
    assert not (tmp_path / "stroe").exists()
