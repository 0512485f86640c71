"""What a worker logs while it works comes back with its answer, so that the run's log has it, wherever that was."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from troupe.log_context import current_context

__all__ = ["Line", "echo", "listened"]

Line = tuple[str, int, str, dict[str, str]]
"""Logger, level, message, and what it is about."""

_ROOMS = ("models", "catalogs", "tasks")
_MOST = 100
"""Lines of one call that come back."""


class _Catch(logging.Handler):
    def __init__(self, lines: list[Line]) -> None:
        super().__init__(logging.INFO)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        if len(self._lines) < _MOST:
            self._lines.append((record.name, record.levelno, record.getMessage(), current_context()))


@contextmanager
def listened() -> Iterator[list[Line]]:
    """What our own rooms log inside the `with` block."""
    lines: list[Line] = []
    catch = _Catch(lines)
    for room in _ROOMS:
        logging.getLogger(room).addHandler(catch)
    try:
        yield lines
    finally:
        for room in _ROOMS:
            logging.getLogger(room).removeHandler(catch)


def echo(lines: Sequence[Line]) -> None:
    """Log here what was logged there."""
    for name, level, message, about in lines:
        logger = logging.getLogger(name)
        if logger.isEnabledFor(level):
            logger.log(level, "%s", message, extra={"about": about})
