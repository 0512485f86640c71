"""Artifacts of a run on Prefect's pages: progress, summary and failed jobs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from tasks.run.summary import Summary

__all__ = ["Artifacts"]

UPDATE_SECONDS = 5.0
"""Least seconds between two updates of the progress."""
MAX_FAILURES = 100
"""Maximum rows of the table of failed jobs; the catalog has all."""

_log = logging.getLogger(__name__)


class Artifacts:
    """Listener that updates a progress artifact, and finally writes a summary and a table of failed jobs.

    Must be created within a flow. Errors of the server are logged and do not affect the run.
    """

    def __init__(self) -> None:
        self._progress_id: Any = None
        self._jobs = self._done = 0
        self._failures: list[dict[str, str]] = []
        self._updated_at = 0.0
        self._lock = threading.Lock()

    def note(self, text: str) -> None:
        """Ignore the text."""

    def begin(self, jobs: int) -> None:
        """Create the progress artifact."""
        self._jobs = jobs
        self._progress_id = self._try(
            lambda: create_progress_artifact(progress=0.0, key="troupe-progress", description=f"{jobs} jobs")
        )

    def finished(self, row: Mapping[str, Any]) -> None:
        """Count the job and update the progress, at most every `UPDATE_SECONDS`."""
        with self._lock:
            self._done += 1
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
        """Write the summary and the failed jobs."""
        self._try(
            lambda: create_markdown_artifact(summary.markdown(), key="troupe-run", description=f"run {summary.run_id}")
        )
        if self._failures:
            description = f"failed jobs of run {summary.run_id}, at most {MAX_FAILURES}"
            self._try(lambda: create_table_artifact(self._failures, key="troupe-failures", description=description))

    def _try(self, call: Any) -> Any:
        try:
            return call()
        except Exception as error:  # the client raises many kinds
            _log.warning("Failed to write a Prefect artifact: %s", error)
            return None
