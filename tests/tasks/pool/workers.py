"""Workers for the pool's tests, which misbehave on request, in this process or another one."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tasks.pool import Role
from troupe.errors import NoFace, OutOfMemory, StoreError, WeightsError
from troupe.progress import report_progress


class Puppet:
    """A worker that counts its calls and misbehaves on request."""

    def __init__(self) -> None:
        self.calls = 0
        self.affinity_key = ""
        self.switches = 0
        self.meeting = threading.Barrier(2)

    def count(self) -> int:
        """Return how often it was called before."""
        self.calls += 1
        return self.calls - 1

    def take(self, affinity_key: str) -> tuple[int, int]:
        """Return the process id and how often the affinity key has changed."""
        self.switches += affinity_key != self.affinity_key
        self.affinity_key = affinity_key
        return os.getpid(), self.switches

    def environment(self, *names: str) -> list[str | None]:
        """Return environment variables."""
        return [os.environ.get(name) for name in names]

    def sleep(self, seconds: float, mark: str = "") -> None:
        """Sleep, after it has created the file `mark`."""
        if mark:
            Path(mark).touch()
        time.sleep(seconds)

    def stop_process(self) -> int:
        """Suspend its own process, once; return how often it was called."""
        self.calls += 1
        if self.calls == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        return self.calls

    def say(self, text: str) -> None:
        """Log a line of troupe's, and one of another package."""
        logging.getLogger("tasks.puppet").warning(text)
        logging.getLogger("elsewhere").warning(text)

    def meet(self, text: str) -> None:
        """Wait until another call waits, too, then log."""
        self.meeting.wait(20)
        self.say(text)
        self.meeting.wait(20)

    def report(self, mark: str = "") -> None:
        """Report its progress; with `mark`, until that file exists."""
        report_progress("working", 1, 2, "steps")
        while mark and not Path(mark).exists():
            time.sleep(0.05)
            report_progress("working", 1, 2, "steps")

    def no_face(self) -> None:
        """Raise an InputError."""
        raise NoFace("there is nobody in the picture")

    def weights(self) -> None:
        """Raise an error that lists problems."""
        raise WeightsError("two files are wrong", ["unet.pth", "vae.pth"])

    def bug(self) -> int:
        """Raise an unexpected error."""
        return {"a": 1}["b"]

    def unpicklable(self) -> object:
        """Return a result that cannot be sent to another process."""
        return threading.Lock()

    def store(self, folder: str, failures: int) -> int:
        """Raise a StoreError for a number of calls, then return that number."""
        failed = len(list(Path(folder).iterdir()))
        if failed < failures:
            (Path(folder) / str(failed)).touch()
            raise StoreError("the store is busy")
        return failed

    def hungry(self) -> int:
        """Run out of memory unless it is the first call of the process."""
        if self.count():
            raise OutOfMemory("no memory left")
        return os.getpid()

    def die(self, how: str) -> None:
        """End the process."""
        if how == "exit":
            os._exit(1)
        ctypes.string_at(0)

    def child(self) -> int:
        """Start a child process that would outlive the worker."""
        return subprocess.Popen(["sleep", "600"]).pid


class Unmade:
    """A worker whose constructor raises an error."""

    def __init__(self, missing: str) -> None:
        raise WeightsError("the weights directory is incomplete", [missing])

    def act(self) -> None:
        """Never called."""


class Stillborn:
    """A worker whose process dies in the constructor."""

    def __init__(self) -> None:
        os._exit(1)

    def act(self) -> None:
        """Never called."""


def eventually(condition: Callable[[], bool]) -> bool:
    """Return whether it becomes true within half a minute."""
    for _ in range(300):
        if condition():
            return True
        time.sleep(0.1)
    return False


def puppets(workers: int = 1, concurrency: int = 1) -> Role:
    """Return a role of puppets with one CPU and three threads each."""
    return Role("puppet", Puppet, workers=workers, concurrency=concurrency, cpus=1, threads=3)


def gone(pid: int) -> bool:
    """Return whether a process has ended."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
