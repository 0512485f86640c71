"""Runs whose process was killed: whoever notices that the heartbeat has stopped records it, and so makes the event."""

from __future__ import annotations

from catalogs.store.store import Store
from catalogs.table.audit import append_audit
from catalogs.table.runs import silent_runs, write_run

__all__ = ["record_crashes"]

_LOOKED_AT = 20
"""Runs that are looked at, those first that were heard of last."""


def record_crashes(store: Store) -> int:
    """Record runs that crashed in their record and in the audit log, and return how many there are.

    Processes that notice a crash at once make events of one id. A run that was cut off only, and goes on, takes its
    record back with its next heartbeat.

    Raises:
        StoreError: the store cannot be read or written.
    """
    runs = silent_runs(store, _LOOKED_AT)
    for run in runs:
        facts = {"run_id": run.run_id, "state": run.state, "counts": dict(run.counts), "where": run.where}
        append_audit(store, "run", facts | {"heard_at": run.updated_at.isoformat()})
        # After the event, which a kill in between would lose.
        write_run(store, run)
    return len(runs)
