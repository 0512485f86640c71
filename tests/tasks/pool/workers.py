"""A worker for the pool's tests; it does in other processes what it is told."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

from troupe.errors import NoFace, OutOfMemory, StoreError, WeightsError


class Puppet:
    """Counts its calls and misbehaves on request."""

    def __init__(self) -> None:
        self.calls = 0
        self.hold = ""
        self.switches = 0

    def count(self) -> int:
        """How often it was called before."""
        self.calls += 1
        return self.calls - 1

    def take(self, hold: str) -> tuple[int, int]:
        """The process and how often the thing it held has changed."""
        self.switches += hold != self.hold
        self.hold = hold
        return os.getpid(), self.switches

    def environment(self, *names: str) -> list[str | None]:
        """Environment variables."""
        return [os.environ.get(name) for name in names]

    def sleep(self, seconds: float, mark: str = "") -> None:
        """Says that it began by making the file `mark`."""
        if mark:
            Path(mark).touch()
        time.sleep(seconds)

    def stop_process(self) -> int:
        """Stop its own process, once; how often it was called before."""
        self.calls += 1
        if self.calls == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        return self.calls

    def say(self, text: str) -> None:
        """Log something, and something that is nobody's business."""
        logging.getLogger("tasks.puppet").warning(text)
        logging.getLogger("elsewhere").warning(text)

    def no_face(self) -> None:
        """Bad input."""
        raise NoFace("there is nobody in the picture")

    def weights(self) -> None:
        """An error with a list."""
        raise WeightsError("two files are wrong", ["unet.pth", "vae.pth"])

    def defect(self) -> int:
        """A bug."""
        return {"a": 1}["b"]

    def unpicklable(self) -> object:
        """A result that cannot leave the process."""
        return threading.Lock()

    def store(self, folder: str, failures: int) -> int:
        """Meets so many StoreErrors, then counts them."""
        met = len(list(Path(folder).iterdir()))
        if met < failures:
            (Path(folder) / str(met)).touch()
            raise StoreError("the store is busy")
        return met

    def hungry(self) -> int:
        """Has memory enough only as the first thing that it does."""
        if self.count():
            raise OutOfMemory("no memory left")
        return os.getpid()

    def die(self, how: str) -> None:
        """Take the process along."""
        if how == "exit":
            os._exit(1)
        ctypes.string_at(0)

    def child(self) -> int:
        """A process of its own, which would outlive it."""
        return subprocess.Popen(["sleep", "600"]).pid


class Unmade:
    """Cannot be made."""

    def __init__(self, missing: str) -> None:
        raise WeightsError("the weights directory is incomplete", [missing])

    def act(self) -> None:
        """Never called."""


class Stillborn:
    """Takes its process along while it is made."""

    def __init__(self) -> None:
        os._exit(1)

    def act(self) -> None:
        """Never called."""
