"""Call a worker in the process where it lives, and translate its exceptions."""

from __future__ import annotations

import errno
import os
import re
import tempfile
import traceback
from dataclasses import dataclass
from typing import Any

from tasks.pool.log_forwarding import LogLine
from tasks.pool.work_item import Role
from troupe.errors import FfmpegError, NoSpace, OutOfMemory, TroupeError
from troupe.process.log_context import job_context
from troupe.progress import ProgressReporter

__all__ = ["CallOutcome", "call_method", "construct_worker"]

_TRACEBACK_CHARACTERS = 2000
"""Length of the part of a traceback that a message quotes."""

_DEVICE_LOST = re.compile(r"\bCUDA (error|failure)\b")
"""Matches a CUDA error after which every later call in the process fails, too."""


@dataclass(frozen=True)
class CallOutcome:
    """How a call ended.

    Attributes:
        result: return value of the method, or the new worker.
        error: exception it raised, translated for the pool's callers.
        broken: reason why this process is unusable from now on; empty if it is not.
        lines: log lines of the call, where it ran in another process.
    """

    result: Any = None
    error: TroupeError | None = None
    broken: str = ""
    lines: tuple[LogLine, ...] = ()


def construct_worker(role: Role) -> CallOutcome:
    """Construct a role's worker."""
    try:
        return CallOutcome(role.factory(*role.args))
    except Exception as error:
        return _failure(error, f"a worker of role {role.name!r} could not be constructed")


def call_method(worker: Any, method: str, args: tuple[Any, ...], name: str, reporter: ProgressReporter) -> CallOutcome:
    """Call a worker's method; `name` is the work item's, for messages, logs and progress."""
    with job_context(name), reporter.reporting(name):
        try:
            return CallOutcome(getattr(worker, method)(*args))
        except Exception as error:
            return _failure(error, f"{name}: {method} failed")


def _failure(error: Exception, what: str) -> CallOutcome:
    if _is_disk_full(error):
        where = getattr(error, "filename", None) or f"{tempfile.gettempdir()} or the store"
        message = f"{what}: no space left in {where}; make room, or set TMPDIR to another disk"
        return CallOutcome(error=NoSpace(message))
    if isinstance(error, TroupeError):
        return CallOutcome(error=error)
    text = f"{what}: {type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "out of memory" in str(error)):
        return CallOutcome(
            error=OutOfMemory(f"{text}. Use a smaller size, a shorter clip or a device with more memory")
        )
    if isinstance(error, RuntimeError) and _DEVICE_LOST.search(str(error)):
        return CallOutcome(broken=text)
    tail = "".join(traceback.format_exception(error))[-_TRACEBACK_CHARACTERS:]
    return CallOutcome(error=TroupeError(f"{text}. This is a bug in troupe; please report it with\n{tail}"))


def _is_disk_full(error: Exception) -> bool:
    """Whether a disk is full, as reported by the system or repeated by ffmpeg."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return isinstance(error, FfmpegError) and os.strerror(errno.ENOSPC) in str(error)
