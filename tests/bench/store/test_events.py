"""Webhooks of whole runs, whose workers do nothing; in this process, without Ray."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.engine import _idle_workers, _request
from catalogs.events import Endpoint, add_endpoint
from catalogs.store.store import open_store
from catalogs.table.audit import verify_audit
from flows.observe.progress import Listeners
from flows.steps import execute
from models.miniature.init_weights import init_weights
from tasks.run.request import Request
from tasks.run.run import Run
from tests.receiver import SECRET, receiver
from tests.small import SMALL
from troupe.errors import NoSpace


def test_a_run_calls_its_webhook_for_every_job_and_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    init_weights(tmp_path / "weights", 0, SMALL)
    store = open_store(str(tmp_path / "store"))
    (tmp_path / "secret").write_text(SECRET)
    with receiver() as got, _idle_workers():
        add_endpoint(store, Endpoint("hook", got.url, secret_file=str(tmp_path / "secret"), allow_private=True))
        request = Request(store.url, str(tmp_path / "weights"), jobs=_request(tmp_path, 3), run_id="first")
        execute(request, Listeners(), ray=False)
        assert sorted(got.types) == ["job.done"] * 3 + ["run.completed"]
        assert {payload["data"]["run_id"] for _, payload in got.events} == {"first"}

        def no_space(_: Run) -> None:
            raise NoSpace("the disk is full")

        monkeypatch.setattr(Run, "publish", no_space)
        with pytest.raises(NoSpace):
            execute(Request(store.url, request.weights, jobs=request.jobs, run_id="second"), Listeners(), ray=False)
    assert sorted(got.types[4:]) == ["job.reused"] * 3 + ["run.failed"]
    [failed] = [payload["data"] for _, payload in got.events if payload["type"] == "run.failed"]
    assert (failed["run_id"], failed["error_kind"], failed["counts"]) == ("second", NoSpace.kind, {"reused": 3})
    assert not verify_audit(store).problems
