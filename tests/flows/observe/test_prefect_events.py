"""Events on a real Prefect server, and the automation of the documentation."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.events.schemas.automations import AutomationCore
from prefect.events.worker import EventsWorker

from catalogs.retention.store_policy import change_policy
from catalogs.review.automatic import apply_rules
from catalogs.review.decisions import Decision
from catalogs.store.store import Store, open_store
from flows.observe.prefect_events import PrefectEvents, emit_decision
from tasks.run.summary import Summary
from tests.catalogs.conftest import record
from tests.flows.observe.rows import row
from tests.flows.review.stores import film

ROOT = Path(__file__).parents[3]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store in a folder."""
    return open_store(str(tmp_path))


def emitted(run_id: str, expected: int) -> list[dict[str, Any]]:
    """Return the events on the server that have to do with a run, once they are that many."""
    EventsWorker.drain_all()
    wanted = {"any_resource": {"id": [f"troupe.run.{run_id}"]}, "order": "ASC"}
    wanted |= {"occurred": {"since": (datetime.now(UTC) - timedelta(hours=1)).isoformat()}}
    with get_client(sync_client=True) as client:
        for _ in range(100):
            answer = client.request("POST", "/events/filter", json={"filter": wanted, "limit": 50})
            found: list[dict[str, Any]] = answer.json()["events"]
            if len(found) >= expected:
                return found
            time.sleep(0.1)  # the server stores events a moment later
    return found


@pytest.mark.usefixtures("prefect_session")
def test_jobs_and_decisions_are_events_of_their_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = f"run-{uuid4().hex[:8]}"
    listener = PrefectEvents(store)
    listener.finished(row("a") | {"run_id": run_id, "finished_at": datetime.now(UTC)})
    monkeypatch.setenv("PREFECT_API_URL", "set")
    emit_decision(store, Decision("Eve", "film", "f1", "rejected", reason="mouth", run_id=run_id, job_id="a"))
    job, decision = emitted(run_id, 2)
    assert (job["event"], job["resource"]["prefect.resource.id"]) == ("troupe.job.done", f"troupe.job.{run_id}.a")
    assert job["payload"]["job_id"] == "a"
    assert (decision["event"], decision["payload"]["reason"]) == ("troupe.decision.rejected", "mouth")
    assert decision["resource"]["prefect.resource.id"] == "troupe.film.f1"


@pytest.mark.usefixtures("prefect_session")
def test_decisions_of_rules_are_events(store: Store) -> None:
    run_id = f"run-{uuid4().hex[:8]}"
    listener = PrefectEvents(store)
    record(store, run_id, [film(7, run=run_id)])
    change_policy(store, {"review": ["approve if identity >= 0.1"]})
    assert apply_rules(store, run_id) is not None
    counts = {"done": 1}
    listener.end(Summary(run_id, counts, frames=0, evaluations=0, files_put=0, seconds=1.0, manifest="m"))
    decision, run = emitted(run_id, 2)
    assert (decision["event"], decision["payload"]["automatic"]) == (
        "troupe.decision.approved",
        "approve if identity >= 0.1",
    )
    assert run["event"] == "troupe.run.completed"


@pytest.mark.usefixtures("prefect_session")
def test_the_automations_of_the_documentation_are_accepted_by_the_server() -> None:
    text = (ROOT / "docs" / "scheduling.md").read_text()
    blocks = re.findall(r"```yaml\n# prefect automation create[^\n]*\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        block = re.sub(r"ID-OF-A[A-Z-]*", str(uuid4()), block)
        automation = AutomationCore.model_validate(yaml.safe_load(block))
        with get_client(sync_client=True) as client:
            client.delete_automation(client.create_automation(automation))
