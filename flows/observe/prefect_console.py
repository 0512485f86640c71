"""Prefect's log lines on troupe's terminal.

Prefect's own handler keeps the stream that it was created with, and so writes into a progress bar.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

__all__ = ["ConsoleHandler", "use_console_handler"]

_RUN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
"""How runs end is on Prefect's pages; the command reports it itself."""
_WAITING = "Still processing items"
"""How a queue to the server says at the end that it is not empty yet, which is not a problem."""


class ConsoleHandler(logging.Handler):
    """Writes log lines to the standard error stream of the moment, which a progress bar replaces by its own.

    Args:
        ignored: what Prefect's configuration gives its own handler.
    """

    def __init__(self, level: int = logging.NOTSET, **ignored: Any) -> None:  # noqa: ARG002
        super().__init__(level)
        self.addFilter(_is_shown)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record."""
        try:
            sys.stderr.write(self.format(record) + "\n")
        except Exception:
            self.handleError(record)


def _is_shown(record: logging.LogRecord) -> bool:
    return not record.name.startswith(_RUN_LOGGERS) and not record.getMessage().startswith(_WAITING)


def use_console_handler() -> None:
    """Make Prefect log through `ConsoleHandler`; to be called before Prefect is imported."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_CLASS", f"{__name__}.{ConsoleHandler.__name__}")
