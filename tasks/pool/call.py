"""One call of a worker, in the process where the worker lives, and what its exceptions become."""

from __future__ import annotations

import errno
import os
import re
import tempfile
import traceback
from dataclasses import dataclass
from typing import Any

from tasks.pool.log_forwarding import Line
from tasks.pool.work_item import Role
from troupe.errors import FfmpegError, NoSpace, OutOfMemory, TroupeError
from troupe.log_context import job_context

__all__ = ["Answer", "call", "construct"]

_TAIL = 2000
"""Characters of a traceback that a message quotes."""

_DEVICE_LOST = re.compile(r"\bCUDA (error|failure)\b")
"""Says a CUDA error that stays: every later call in the process fails, too."""


@dataclass(frozen=True)
class Answer:
    """How a call ended.

    Attributes:
        result: what the method returned, or the new worker.
        error: what it raised, as the pool's callers will see it.
        broken: why this process can do nothing more; empty if it can.
        lines: what was logged meanwhile, where that was in another process.
    """

    result: Any = None
    error: TroupeError | None = None
    broken: str = ""
    lines: tuple[Line, ...] = ()


def construct(role: Role) -> Answer:
    """Make a worker."""
    try:
        return Answer(role.factory(*role.args))
    except Exception as error:
        return _failure(error, f"a worker of role {role.name!r} could not be made")


def call(worker: Any, method: str, args: tuple[Any, ...], where: str) -> Answer:
    """Call a worker's method; `where` names the work in the message of an unforeseen error."""
    with job_context(where):
        try:
            return Answer(getattr(worker, method)(*args))
        except Exception as error:
            return _failure(error, f"{where}: {method} failed")


def _no_space(error: Exception) -> bool:
    """Whether a disk is full: as the system says it, or as ffmpeg repeats it."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return isinstance(error, FfmpegError) and os.strerror(errno.ENOSPC) in str(error)


def _failure(error: Exception, what: str) -> Answer:
    if _no_space(error):
        where = getattr(error, "filename", None) or f"{tempfile.gettempdir()} or the store"
        return Answer(error=NoSpace(f"{what}: no space left in {where}; make room, or set TMPDIR to another disk"))
    if isinstance(error, TroupeError):
        return Answer(error=error)
    text = f"{what}: {type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "out of memory" in str(error)):
        return Answer(error=OutOfMemory(f"{text}. Use a smaller size, a shorter clip or a device with more memory"))
    if isinstance(error, RuntimeError) and _DEVICE_LOST.search(str(error)):
        return Answer(broken=text)
    tail = "".join(traceback.format_exception(error))[-_TAIL:]
    return Answer(error=TroupeError(f"{text}. This is a defect of the program; please report it with\n{tail}"))
