"""Folders for temporary files: gone at their end, and, where that was sudden, when the next one is made."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["claim", "scratch_folder", "sweep"]

_PREFIX = "troupe-"
_LOCK = ".lock"
_SETTLED = 60.0
"""Seconds after which a folder without an owner is not one that is just being made."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder of this process, and of the workers that `claim` it."""
    sweep()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = claim(folder)
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(lock)


def claim(folder: Path) -> int:
    """Make the folder if it is not there (another machine has not), and own it until this process ends.

    Returns:
        The descriptor whose closing ends the ownership.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    return lock


def sweep() -> None:
    """Remove the folders of processes that were killed: the system has taken their owners' locks away."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime < _SETTLED:
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(folder)
            finally:
                os.close(lock)


def _remove(folder: Path) -> None:
    # A worker that is being killed may still write: what it adds meanwhile goes in the next round.
    for _ in range(5):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
