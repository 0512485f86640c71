"""Context of log lines: the run, the job and the worker."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["current_context", "job_context", "process_name", "set_run_id"]

_run = ""
"""Run of this process. Not a context variable: new threads would start without it."""
_job: ContextVar[str] = ContextVar("job", default="")


def set_run_id(run_id: str) -> None:
    """Set the run that this process works for."""
    global _run
    _run = run_id


@contextmanager
def job_context(job: str) -> Iterator[None]:
    """Attribute log lines inside the `with` block to a job, or to a work item of the pool."""
    token = _job.set(job)
    try:
        yield
    finally:
        _job.reset(token)


def current_context() -> dict[str, str]:
    """Return the current run, job and worker, which is this process."""
    return {"run": _run, "job": _job.get(), "worker": process_name()}


def process_name() -> str:
    """Return the name of this process, `host:pid`."""
    return f"{socket.gethostname()}:{os.getpid()}"
