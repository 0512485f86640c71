"""What is being worked on here: what every line of a log says beside its message."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["about", "here", "run_is"]

_run = ""
"""Of the process, and not of a context: threads of a run begin with empty ones."""
_job: ContextVar[str] = ContextVar("job", default="")


def run_is(run_id: str) -> None:
    """Name the run that this process works for."""
    global _run
    _run = run_id


@contextmanager
def about(job: str) -> Iterator[None]:
    """What is logged inside the `with` block is about this job, or this work of the pool."""
    token = _job.set(job)
    try:
        yield
    finally:
        _job.reset(token)


def here() -> dict[str, str]:
    """The run, the job, and the worker: this process."""
    return {"run": _run, "job": _job.get(), "worker": f"{socket.gethostname()}:{os.getpid()}"}
