"""Log forwarding: return what a worker logs with the result of the call, so that the run's log has it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from troupe.process.log_context import current_context

__all__ = ["LogLine", "capture_logs", "forward_logs"]

LogLine = tuple[str, int, str, dict[str, str]]
"""Logger, level, message and log context (run, job, worker)."""

_LOGGERS = ("models", "catalogs", "tasks")
_MAX_LINES = 100
"""Lines of one call that are returned."""


class _CaptureHandler(logging.Handler):
    def __init__(self, job: str, lines: list[LogLine]) -> None:
        super().__init__(logging.INFO)
        self._job, self._lines = job, lines

    def emit(self, record: logging.LogRecord) -> None:
        about = current_context()
        # Other calls of this process collect their own lines; those of a library's threads belong to the first.
        if getattr(record, "captured", False) or about["job"] not in ("", self._job):
            return
        record.captured = True
        if len(self._lines) < _MAX_LINES:
            self._lines.append((record.name, record.levelno, record.getMessage(), about))


@contextmanager
def capture_logs(job: str) -> Iterator[list[LogLine]]:
    """Collect what troupe's own packages log about a job, or a work item, inside the `with` block."""
    lines: list[LogLine] = []
    handler = _CaptureHandler(job, lines)
    for name in _LOGGERS:
        logging.getLogger(name).addHandler(handler)
    try:
        yield lines
    finally:
        for name in _LOGGERS:
            logging.getLogger(name).removeHandler(handler)


def forward_logs(lines: Sequence[LogLine]) -> None:
    """Log, in this process, lines that were captured in another one."""
    for name, level, message, about in lines:
        logger = logging.getLogger(name)
        if logger.isEnabledFor(level):
            logger.log(level, "%s", message, extra={"about": about})
