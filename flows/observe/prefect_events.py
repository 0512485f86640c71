"""Events on a Prefect server, so that its automations can react: the same as those of webhooks, sent once.

event      troupe.job.failed, troupe.run.completed, troupe.decision.rejected, troupe.export.completed, ...
resource   troupe.job.<run_id>.<job_id>, troupe.run.<run_id>, troupe.film.<key>, troupe.picture.<key>, troupe.export
related    troupe.run.<run_id> with the role `run`, and within a flow Prefect's own resources
payload    `data` of the webhook
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any
from uuid import UUID

from catalogs.events import Event, decision_event, export_event, job_event, run_event
from catalogs.review.automatic import decisions_by_rule
from catalogs.store.store import Store
from tasks.run.summary import Summary
from troupe.errors import TroupeError
from troupe.progress import Progress

if TYPE_CHECKING:
    from catalogs.review.decisions import Decision

__all__ = ["PrefectEvents", "emit", "emit_decision", "emit_export", "load_client"]

_log = logging.getLogger(__name__)


class PrefectEvents:
    """Listener that emits an event for every job of a run.

    Args:
        store: store of the run.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._begun = datetime.now(UTC)

    def note(self, text: str) -> None:
        """Ignore the text."""

    def started(self, jobs: int) -> None:
        """Ignore the number of jobs."""

    def working(self, progress: Progress) -> None:
        """Ignore the progress within a job."""

    def finished(self, row: Mapping[str, Any]) -> None:
        """Emit the event of a job that ended."""
        emit(job_event(self._store, {**row, "recorded_at": row["finished_at"]}))

    def end(self, summary: Summary) -> None:
        """Emit the events of what rules decided about the run's films, and that of the run."""
        try:
            for decision in decisions_by_rule(self._store, summary.run_id, self._begun):
                emit(decision_event(self._store, vars(decision)))
        except TroupeError as error:
            _log.warning("Failed to emit what rules decided: %s", error)
        emit(run_event(self._store, summary.run_id, summary.counts, datetime.now(UTC)))


def load_client() -> None:
    """Import Prefect's client, which takes seconds, if the environment names a server: before somebody waits for it."""
    if _server_is_configured():
        import_module("prefect.events")


def emit_export(store: Store, target: str, films: int, packages: int = 0) -> None:
    """Emit the event of an export, if the environment names a Prefect server.

    Args:
        films: number of films that were not there yet.
        packages: number of packages that these are in; 0 for single videos.
    """
    if _server_is_configured():
        now = datetime.now(UTC)
        facts = {"target": target, "files": films, "packages": packages or None}
        emit(export_event(store, facts, now, f"{target} {now.isoformat()}"))


def emit_decision(store: Store, decision: Decision) -> None:
    """Emit the event of a decision, if the environment names a Prefect server."""
    if _server_is_configured():
        emit(decision_event(store, vars(decision)))


def emit(event: Event) -> None:
    """Emit an event to the server that this process is connected to. Errors are logged and change nothing."""
    from prefect.events import emit_event

    try:
        emit_event(
            f"troupe.{event.type}",
            resource={"prefect.resource.id": _resource(event), "prefect.resource.name": _name(event)},
            related=[
                {"prefect.resource.id": f"troupe.run.{event.data['run_id']}", "prefect.resource.role": "run"}
                for _ in range("run_id" in event.data)
            ],
            occurred=event.at,
            payload=_json_values(event),
            id=UUID(event.id.rpartition("_")[2]),
        )
    except Exception as error:  # the client raises many kinds
        _log.warning("Failed to emit a Prefect event: %s", error)


def _server_is_configured() -> bool:
    """Return whether the environment names a Prefect server; asked before the heavy import of its client."""
    return bool(os.environ.get("PREFECT_API_URL"))


def _resource(event: Event) -> str:
    kind, data = event.type.partition(".")[0], event.data
    if kind == "job":
        return f"troupe.job.{data['run_id']}.{data['job_id']}"
    if kind == "run":
        return f"troupe.run.{data['run_id']}"
    return f"troupe.{data['scope']}.{data['key']}" if kind == "decision" else f"troupe.{kind}"


def _name(event: Event) -> str:
    names = (event.data.get(name) for name in ("job_id", "run_id", "target", "key"))
    return next((str(name) for name in names if name), event.type)


def _json_values(event: Event) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(event.payload())["data"]
    return data
