"""Artifacts of a run on Prefect's pages: progress, summary and failed jobs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.logging.handlers import APILogHandler
from prefect.logging.loggers import PrefectLogAdapter
from prefect.runtime import flow_run

from tasks.run.summary import Summary
from troupe.process.log_context import current_context
from troupe.progress import Progress

__all__ = ["Artifacts"]

UPDATE_SECONDS = 5.0
"""Least seconds between two updates of the progress."""
MAX_FAILURES = 100
"""Maximum rows of the table of failed jobs; the catalog has all."""

_log = logging.getLogger(__name__)


class Artifacts:
    """Listener that logs a line per job, updates a progress artifact, and finally writes a summary with links.

    Must be created within a flow. Errors of the server are logged and do not affect the run.
    """

    def __init__(self) -> None:
        self._flow_run_id = flow_run.id
        self._log = _server_log()
        self._named = False
        self._progress_id: Any = None
        self._jobs = self._done = 0
        self._failures: list[dict[str, str]] = []
        self._updated_at = 0.0
        self._lock = threading.Lock()

    def note(self, text: str) -> None:
        """Name the flow run as the run is named, and log the text on the server's page."""
        if not self._named:
            self._named = True
            self._try(lambda: _rename(self._flow_run_id, current_context()["run"]))
        self._log.info("%s", text)

    def started(self, jobs: int) -> None:
        """Create the progress artifact."""
        self._jobs = jobs
        self._progress_id = self._try(
            lambda: create_progress_artifact(progress=0.0, key="troupe-progress", description=f"{jobs} jobs")
        )

    def working(self, progress: Progress) -> None:
        """Ignore the progress within a job."""

    def finished(self, row: Mapping[str, Any]) -> None:
        """Count the job and update the progress, at most every `UPDATE_SECONDS`."""
        what = f"{row['frames']} frames" if row["error"] is None else f"{row['error_kind']}: {row['error']}"
        level = logging.INFO if row["error"] is None else logging.WARNING
        with self._lock:
            self._done += 1
            self._log.log(level, "%d/%d %s: %s, %s", self._done, self._jobs, row["job_id"], row["status"], what)
            if row["status"] == "failed" and len(self._failures) < MAX_FAILURES:
                self._failures.append({"job": row["job_id"], "kind": row["error_kind"], "error": row["error"]})
            now = time.monotonic()
            if now - self._updated_at < UPDATE_SECONDS and self._done < self._jobs:
                return
            self._updated_at = now
            progress = 100.0 * self._done / self._jobs
        if self._progress_id is not None:
            self._try(lambda: update_progress_artifact(self._progress_id, progress))

    def end(self, summary: Summary) -> None:
        """Write the summary, the failed jobs, and links to the report and the manifest."""
        self._try(
            lambda: create_markdown_artifact(summary.markdown(), key="troupe-run", description=f"run {summary.run_id}")
        )
        for name, uri in (("report", summary.report), ("manifest", summary.manifest)):
            if uri:
                self._try(lambda name=name, uri=uri: create_link_artifact(_link(uri), name, key=f"troupe-{name}"))
        if self._failures:
            description = f"failed jobs of run {summary.run_id}, at most {MAX_FAILURES}"
            self._try(lambda: create_table_artifact(self._failures, key="troupe-failures", description=description))

    def _try(self, call: Any) -> Any:
        try:
            return call()
        except Exception as error:  # the client raises many kinds
            _log.warning("Failed to write a Prefect artifact: %s", error)
            return None


def _server_log() -> PrefectLogAdapter:
    """Return the log of the running flow on the server's page alone: the terminal and the worker have their own."""
    log = logging.getLogger("flows.prefect_log")
    log.propagate = False
    log.setLevel(logging.INFO)
    if not log.handlers:
        log.addHandler(APILogHandler())
    return PrefectLogAdapter(
        log, {"flow_run_id": flow_run.id, "flow_run_name": flow_run.name, "flow_name": flow_run.flow_name}
    )


def _rename(flow_run_id: str, name: str) -> None:
    with get_client(sync_client=True) as client:
        client.update_flow_run(UUID(flow_run_id), name=name)


def _link(uri: str) -> str:
    """Return the URI as a link: a local path gets its scheme."""
    return uri if "://" in uri else Path(uri).absolute().as_uri()
