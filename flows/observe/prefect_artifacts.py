"""What Prefect's pages show of a run while it goes on, and after it."""

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

EVERY = 5.0
"""Seconds between two updates of the bar."""
MOST = 100
"""Failures that the table has room for; the catalog has all."""

_log = logging.getLogger(__name__)


class Artifacts:
    """A listener that keeps a progress bar, and in the end writes a summary and a table of what failed.

    Made within a flow. Nothing of it may disturb the run: a server that is gone is a line in the log.
    """

    def __init__(self) -> None:
        self._bar: Any = None
        self._jobs = self._done = 0
        self._failures: list[dict[str, str]] = []
        self._shown = 0.0
        self._lock = threading.Lock()

    def note(self, text: str) -> None:
        """Nothing."""

    def begin(self, jobs: int) -> None:
        """Put up the bar."""
        self._jobs = jobs
        self._bar = self._try(
            lambda: create_progress_artifact(progress=0.0, key="troupe-progress", description=f"{jobs} jobs")
        )

    def finished(self, row: Mapping[str, Any]) -> None:
        """Move the bar, now and then."""
        with self._lock:
            self._done += 1
            if row["status"] == "failed" and len(self._failures) < MOST:
                self._failures.append({"job": row["job_id"], "kind": row["error_kind"], "error": row["error"]})
            now = time.monotonic()
            if now - self._shown < EVERY and self._done < self._jobs:
                return
            self._shown = now
            progress = 100.0 * self._done / self._jobs
        if self._bar is not None:
            self._try(lambda: update_progress_artifact(self._bar, progress))

    def end(self, summary: Summary) -> None:
        """Write the summary, and what failed."""
        self._try(
            lambda: create_markdown_artifact(summary.markdown(), key="troupe-run", description=f"run {summary.run_id}")
        )
        if self._failures:
            what = f"failed jobs of run {summary.run_id}, the first {MOST} at most"
            self._try(lambda: create_table_artifact(self._failures, key="troupe-failures", description=what))

    def _try(self, call: Any) -> Any:
        try:
            return call()
        except Exception as error:  # whatever its client raises
            _log.warning("Prefect's server does not take an artifact: %s", error)
            return None
