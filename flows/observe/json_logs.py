"""Logs for machines: one JSON object per line, with run, job and worker."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

from troupe.process.log_context import current_context
from troupe.progress import Progress

__all__ = ["JsonLines", "json_logs"]

LOGGERS = ("models", "catalogs", "tasks", "flows")
PROGRESS_SECONDS = 10.0
"""Least seconds between two lines about the progress within jobs."""
ROW_FIELDS = (
    "status",
    "error_kind",
    "error",
    "frames",
    "seconds",
    "bytes",
    "attempts",
    "device",
    "full_uri",
    "crop_uri",
)
"""Columns of a finished job's row that are logged where they have a value."""


class ContextFormatter(JsonFormatter):
    """Formats records as `{"time", "level", "logger", "message", "run", "job", "worker", ...}`."""

    def __init__(self) -> None:
        super().__init__(rename_fields={"exc_info": "trace"}, json_default=str, json_ensure_ascii=False)

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """Add time, level, logger and context; fields of the record's `about` override the context."""
        log_data |= {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        log_data |= current_context()
        super().add_fields(log_data, record, message_dict)
        log_data |= log_data.pop("about", {})


class JsonLines:
    """Listener that logs the progress of a run."""

    def __init__(self) -> None:
        self._log = logging.getLogger("flows.run")
        self._lock = threading.Lock()
        self._jobs = self._done = 0
        self._logged_at = float("-inf")

    def note(self, text: str) -> None:
        """Log the text."""
        self._log.info(text)

    def started(self, jobs: int) -> None:
        """Log the number of jobs."""
        self._jobs = jobs
        self._log.info("animating", extra={"about": {"jobs": jobs}})

    def working(self, progress: Progress) -> None:
        """Log how far a job is, or what it needs; at most every `PROGRESS_SECONDS`."""
        now = time.monotonic()
        with self._lock:
            if now - self._logged_at < PROGRESS_SECONDS:
                return
            self._logged_at = now
        about = {"job": progress.item, "stage": progress.stage, progress.unit: progress.done, "total": progress.total}
        self._log.info("working", extra={"about": about})

    def finished(self, row: Mapping[str, Any]) -> None:
        """Log the result of a job."""
        with self._lock:
            self._done += 1
            progress = f"{self._done}/{self._jobs}"
        fields = {"run": row["run_id"], "job": row["job_id"], "worker": row["worker"], "progress": progress}
        fields |= {name: row[name] for name in ROW_FIELDS if row[name] is not None}
        fields["stages"] = {n.removeprefix("seconds_"): v for n, v in row.items() if n.startswith("seconds_") and v}
        level = logging.ERROR if row["status"] == "failed" else logging.INFO
        self._log.log(level, "%s", row["status"], extra={"about": fields})


@contextmanager
def json_logs(stream: TextIO | None = None) -> Iterator[JsonLines]:
    """Log troupe's records as JSON lines inside the `with` block.

    Args:
        stream: stream to write to, standard error by default.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(ContextFormatter())
    loggers = [logging.getLogger(name) for name in LOGGERS]
    previous = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    try:
        yield JsonLines()
    finally:
        for logger, (level, propagate) in zip(loggers, previous, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate
