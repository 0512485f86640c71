"""Folders for temporary files, deleted at the end; those of killed processes are deleted by the next one."""

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
_MIN_AGE = 60.0
"""Seconds after which a folder without an owner counts as abandoned: a younger one may not be locked yet."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a temporary folder, owned by this process and by the workers that `claim` it."""
    sweep()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = claim(folder)
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(lock)


def claim(folder: Path) -> int:
    """Own a scratch folder until this process ends; create it if it does not exist, as on another machine.

    Returns:
        The file descriptor that holds the ownership; closing it ends the ownership.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    return lock


def sweep() -> None:
    """Delete the folders of killed processes, whose locks the system has released."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime < _MIN_AGE:
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(folder)
            finally:
                os.close(lock)


def _remove(folder: Path) -> None:
    # A worker that is being killed may still write; the next attempt deletes what it adds.
    for _ in range(5):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
