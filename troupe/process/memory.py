"""Memory of a process that makes many runs."""

from __future__ import annotations

import ctypes
from contextlib import suppress

__all__ = ["limit_arenas"]

ARENAS = 1
_M_ARENA_MAX = -8


def limit_arenas() -> None:
    """Make glibc keep one heap. By default it makes one per thread, up to eight per core.

    What threads free stays in their heap, where others do not get it: each run has new threads, so that a process
    grows from run to run though no object is left. To be called before threads are started; other C libraries than
    glibc are left as they are.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)
