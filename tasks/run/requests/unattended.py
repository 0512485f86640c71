"""Requests that nobody watches: what is refused is in the store, like any other run that failed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from catalogs.store.existing import open_existing
from catalogs.table.audit import append_audit
from catalogs.table.runs import RunInfo, find_run, write_run
from tasks.events import sending_events
from tasks.run.request import Request, new_run_id
from tasks.run.requests.check_request import check_request
from troupe.errors import TroupeError
from troupe.process.log_context import process_name, set_run_id

__all__ = ["unattended_request"]

_log = logging.getLogger(__name__)


def unattended_request(parameters: Mapping[str, Any], note: Callable[[str], None]) -> Request:
    """Return a request that passes `check_request`; one that does not is recorded as a run that failed.

    Args:
        parameters: parameters of the request by name.
        note: receives lines of text.

    Raises:
        TroupeError: as `check_request`.
    """
    try:
        request = Request.from_parameters(parameters)
        check_request(request)
    except TroupeError as error:
        try:
            _record_refusal(parameters, error, note)
        except TroupeError as failure:
            _log.warning("cannot record that the request was refused: %s", failure)
        raise
    return request


def _record_refusal(parameters: Mapping[str, Any], error: TroupeError, note: Callable[[str], None]) -> None:
    """Record a run that failed, from which its event is made, and send that.

    Nothing is recorded of a run that has a record, which says what the run did before.

    Raises:
        SettingsError: there is no store yet.
        StoreError: it cannot be written.
    """
    store = open_existing(parameters["store"])
    run_id = parameters.get("run_id") or new_run_id()
    if find_run(store, run_id) is not None:
        return
    set_run_id(run_id)
    note(f"run {run_id}: refused")
    now = datetime.now(UTC)
    given = {name: value for name, value in parameters.items() if value is not None}
    with sending_events(store, note):
        # The error's text may name people, and stays out of the audit log.
        append_audit(store, "run", {"run_id": run_id, "state": "failed", "error_kind": error.kind, "counts": {}})
        write_run(store, RunInfo(run_id, "failed", now, now, where=process_name(), request=given, note=error.line))
