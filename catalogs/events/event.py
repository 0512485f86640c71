"""Events: what finished in a store, as it is sent to webhooks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from catalogs.store.keys import run_key
from catalogs.store.store import Store
from catalogs.table.audit import AuditEntry
from catalogs.table.schema import QUALITIES, STATUSES, SYNC_COLUMNS

__all__ = [
    "JOB_COLUMNS",
    "TYPES",
    "VERSION",
    "Event",
    "audit_event",
    "decision_event",
    "job_event",
    "run_event",
    "trial_event",
]

VERSION = 1
"""Version of the payload. Fields are only added, never renamed or changed in type."""

TYPES: Mapping[str, tuple[str, ...]] = {
    "job": STATUSES,
    "run": ("completed", "cancelled", "failed", "crashed"),
    "decision": ("approved", "rejected", "comment", "undo"),
    "export": ("completed",),
}
"""Types of events, by the kind before the dot: `job.done`."""

_PERSON = ("identity", "tags", "language")
_OUTPUTS = ("full_uri", "crop_uri", "poster_uri", "master_uri", "subtitles_vtt_uri", "subtitles_srt_uri")
_FACTS = (
    *("error_kind", "error", "render_key", "picture_key"),
    *("width", "height", "frames", "seconds", "bytes", "checksum", "preset", "seed"),
    *("flagged", "signature", "watermark", "finished_at"),
)
_MEASURES = (*(f"quality_{name}" for name in QUALITIES), *SYNC_COLUMNS)
_DECISION = ("reason", "comment", "time_seconds", "undoes", "run_id", "job_id")
JOB_COLUMNS = (
    *("schema_version", "run_id", "job_id", "status", "recorded_at", "portrait_sha256"),
    *(*_PERSON, *_OUTPUTS, *_FACTS, *_MEASURES),
)
"""Columns of the catalog that the events of jobs are made from."""


@dataclass(frozen=True)
class Event:
    """Something that finished.

    Attributes:
        id: the same each time that the event is sent; receivers drop duplicates by it.
        type: kind and state, such as `job.done`.
        at: when it happened, UTC.
        data: details, as JSON values.
    """

    id: str
    type: str
    at: datetime
    data: Mapping[str, Any]

    def payload(self) -> bytes:
        """Return the body of the request."""
        values = {"type": self.type, "timestamp": self.at.isoformat(), "version": VERSION, "data": self.data}
        return json.dumps(values, ensure_ascii=False, separators=(",", ":"), default=_plain).encode()


def job_event(store: Store, row: Mapping[str, Any]) -> Event:
    """Return the event of a job that ended.

    Args:
        row: its row, with the columns `JOB_COLUMNS`, without credentials.
    """
    forgotten = row["status"] == "forgotten"  # nothing but which job it was
    facts = {name: row[name] for name in (*(() if forgotten else _PERSON), *_FACTS)}
    data = {
        **_job_ids(store, row),
        "status": row["status"],
        **facts,
        "tags": dict(facts.get("tags") or ()),
        "outputs": _filled({name.removesuffix("_uri"): row[name] for name in _OUTPUTS}),
        "measures": _filled({name: row[name] for name in _MEASURES}),
    }
    at = row["recorded_at"]
    # A resumed run may have several rows for a job; each was recorded at another time.
    return Event(_id("job", row["run_id"], row["job_id"], at.isoformat()), f"job.{row['status']}", at, _filled(data))


def audit_event(store: Store, entry: AuditEntry) -> Event | None:
    """Return the event of an entry of the audit log: of a run, or an export; None for other entries."""
    facts = dict(entry.facts)
    if entry.event == "run":
        return run_event(
            store,
            facts.get("run_id", ""),
            facts.get("counts", {}),
            entry.at,
            state=facts.get("state", ""),
            error_kind=facts.get("error_kind", ""),
            # Several processes may have noticed a crash: that is one event.
            sha256=f"crashed {facts.get('run_id')} {heard}" if (heard := facts.get("heard_at")) else entry.sha256,
        )
    return export_event(store, facts, entry.at, entry.sha256) if entry.event == "export" else None


def export_event(store: Store, facts: Mapping[str, Any], at: datetime, sha256: str) -> Event:
    """Return the event of an export.

    Args:
        facts: target, number of films (`files`) and of packages that these are in, and key of its record.
        sha256: what no other export has, the hash of its entry in the audit log.
    """
    data = {"store": store.url, "target": facts.get("target"), "files": facts.get("files")}
    data["packages"] = facts.get("packages")
    data["record"] = store.uri(facts["record"]) if "record" in facts else None
    return Event(_id(sha256), "export.completed", at, _filled(data))


def run_event(
    store: Store,
    run_id: str,
    counts: Mapping[str, int],
    at: datetime,
    *,
    state: str = "",
    error_kind: str = "",
    sha256: str = "",
) -> Event:
    """Return the event of a run that ended.

    Args:
        counts: number of jobs by status.
        state: `completed`, `cancelled`, `failed` or `crashed`; empty for a run with a manifest.
        error_kind: kind of the error that ended it.
        sha256: hash of its entry in the audit log, or what else is the same each time.
    """
    data = {"store": store.url, "run_id": run_id, "counts": dict(counts), "error_kind": error_kind}
    if not state:
        state = "cancelled" if counts.get("cancelled") else "completed"
        files = {"manifest": "manifest.parquet", "report": "report/index.html"}
        data |= {name: store.uri(run_key(run_id, file)) for name, file in files.items()}
    id = _id(sha256) if sha256 else _id("run", run_id, at.isoformat())
    return Event(id, f"run.{state}", at, _filled({**data, "state": state}))


def decision_event(store: Store, row: Mapping[str, Any]) -> Event:
    """Return the event of a decision about a film or a picture.

    Args:
        row: its row in the table of decisions.
    """
    names = (*("decision_id", "reviewer", "automatic", "scope", "key", "kind"), *_DECISION)
    data = {"store": store.url, **{name: row[name] for name in names}}
    return Event(_id("decision", row["decision_id"]), f"decision.{row['kind']}", row["decided_at"], _filled(data))


def trial_event(store: Store, now: datetime | None = None) -> Event:
    """Return an event that tells nothing, to try an endpoint."""
    now = now or datetime.now(UTC)
    return Event(_id("test", now.isoformat()), "test", now, {"store": store.url})


def _job_ids(store: Store, row: Mapping[str, Any]) -> dict[str, Any]:
    return {"store": store.url, "run_id": row["run_id"], "job_id": row["job_id"]}


def _filled(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values without those that are empty."""
    return {name: value for name, value in values.items() if value not in (None, "", {})}


def _id(*parts: str) -> str:
    return f"evt_{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}"


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
