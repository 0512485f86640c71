"""What is being worked on here: what every line of a log says beside its message."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["current_context", "job_context", "process_name", "set_run_id"]

_run = ""
"""Of the process, and not of a context: threads of a run begin with empty ones."""
_job: ContextVar[str] = ContextVar("job", default="")


def set_run_id(run_id: str) -> None:
    """Name the run that this process works for."""
    global _run
    _run = run_id


@contextmanager
def job_context(job: str) -> Iterator[None]:
    """What is logged inside the `with` block is about this job, or this work of the pool."""
    token = _job.set(job)
    try:
        yield
    finally:
        _job.reset(token)


def current_context() -> dict[str, str]:
    """The run, the job, and the worker: this process."""
    return {"run": _run, "job": _job.get(), "worker": process_name()}


def process_name() -> str:
    """Return the name of this process, `host:pid`."""
    return f"{socket.gethostname()}:{os.getpid()}"
