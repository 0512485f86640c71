"""Logs for machines: one JSON object a line, each with its run, job and worker."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

from troupe.log_context import current_context

__all__ = ["JsonLines", "json_logs"]

ROOMS = ("models", "catalogs", "tasks", "flows")
FACTS = ("status", "error_kind", "error", "frames", "seconds", "bytes", "attempts", "device", "full_uri", "crop_uri")
"""Of a finished job's row, if they are there."""


class Formatter(logging.Formatter):
    """`{"time", "level", "logger", "message", "run", "job", "worker", ...}`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= current_context() | getattr(record, "about", {})
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class JsonLines:
    """A listener that logs what it is told."""

    def __init__(self) -> None:
        self._log = logging.getLogger("flows.run")
        self._lock = threading.Lock()
        self._jobs = self._done = 0

    def note(self, text: str) -> None:
        """Log it."""
        self._log.info(text)

    def begin(self, jobs: int) -> None:
        """Start counting."""
        self._jobs = jobs
        self._log.info("animating", extra={"about": {"jobs": jobs}})

    def finished(self, row: Mapping[str, Any]) -> None:
        """Log how the job ended."""
        with self._lock:
            self._done += 1
            progress = f"{self._done}/{self._jobs}"
        about = {"run": row["run_id"], "job": row["job_id"], "worker": row["worker"], "progress": progress}
        about |= {name: row[name] for name in FACTS if row[name] is not None}
        about["stages"] = {n.removeprefix("seconds_"): v for n, v in row.items() if n.startswith("seconds_") and v}
        level = logging.ERROR if row["status"] == "failed" else logging.INFO
        self._log.log(level, "%s", row["status"], extra={"about": about})


@contextmanager
def json_logs(stream: TextIO | None = None) -> Iterator[JsonLines]:
    """Everything that our rooms log inside the `with` block is JSON on `stream`, standard error by default."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Formatter())
    loggers = [logging.getLogger(room) for room in ROOMS]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    try:
        yield JsonLines()
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate
