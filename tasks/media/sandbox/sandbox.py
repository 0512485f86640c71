"""A pool of child processes with limits on memory and time."""

from __future__ import annotations

import json
import os
import queue
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from tasks.media.limits import limits
from troupe import errors
from troupe.errors import InputError, TooLarge, TroupeError, UnreadableMedia

__all__ = ["Sandbox"]

T = TypeVar("T")

_MODULE = "tasks.media.sandbox.child"
_WALL_SECONDS = 60.0
"""Seconds that a call may take by the clock, for disks that do not respond."""
_POLL_SECONDS = 0.1
_REPLY_BYTES = 1 << 20
_MOST_PROCESSES = 4
_MANY_FILES = 200
"""Files whose headers take longer to read than another child to start."""
_PICTURES = 1000
"""Pictures of a folder for which the time of one file is added."""
_VARIABLES = ("HOME", "LANG", "PATH", "TMPDIR", "TZ")
_PREFIXES = ("LC_", "LD_", "PYTHON", "TROUPE_MAX_")
_ROOT = Path(__file__).parents[3]


class Sandbox:
    """Calls functions that read a file in child processes. Thread-safe; a context manager that ends the processes.

    Libraries allocate what the headers of a file claim. Here such a file ends a child at most, which is replaced; the
    children are used again for many files, because each takes some tenths of a second to start.

    Args:
        raise_if_cancelled: called often while a call is awaited; stops the call by raising.
        files: number of files, if it is known: for many there is a child per processor, else one for every two.
    """

    def __init__(self, raise_if_cancelled: Callable[[], None] = lambda: None, files: int = 1) -> None:
        self._raise_if_cancelled = raise_if_cancelled
        self._slots: queue.LifoQueue[_Child | None] = queue.LifoQueue()  # what ran last is used again first
        processors = os.cpu_count() or 1
        for _ in range(max(1, min(_MOST_PROCESSES, processors if files >= _MANY_FILES else processors // 2))):
            self._slots.put(None)
        self._children: list[_Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children:
            child.kill()

    def __call__(self, function: Callable[[Path], T], path: Path, seconds: int | None = None) -> T:
        """Return `function(path)`.

        Args:
            function: function of a module; it returns what JSON has.
            path: the file, or a folder of pictures.
            seconds: seconds of a processor that it may take; None for those to read headers.

        Raises:
            TooLarge: it takes more memory or time than `limits` allow.
            InputError: the function raised it, or ended its process.
        """
        child = self._free()
        try:
            if child is None:
                child = _Child()
                self._children.append(child)
            reply = child.ask(function, path, seconds, self._raise_if_cancelled)
        except BaseException:
            if child is not None:
                child.kill()
            raise
        finally:
            self._slots.put(child if child is not None and child.is_alive else None)
        if "value" in reply:
            value: T = reply["value"]
            return value
        raise _error(reply, path)

    def _free(self) -> _Child | None:
        while True:
            with suppress(queue.Empty):
                return self._slots.get(timeout=_POLL_SECONDS)
            self._raise_if_cancelled()


class _Child:
    """A child process, which answers one request at a time."""

    def __init__(self) -> None:
        variables = {
            name: text for name, text in os.environ.items() if name in _VARIABLES or name.startswith(_PREFIXES)
        }
        path = os.pathsep.join(filter(None, (str(_ROOT), variables.get("PYTHONPATH", ""))))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            # One thread and one heap: each further one reserves memory that counts as used.
            env=variables
            | {"PYTHONPATH": path, "MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"}
            | {"OPENBLAS_NUM_THREADS": "1"},
            # Ctrl-C must reach troupe only.
            start_new_session=True,
        )

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def ask(
        self,
        function: Callable[[Path], Any],
        path: Path,
        seconds: int | None,
        raise_if_cancelled: Callable[[], None],
    ) -> Any:
        """Return the reply to a request.

        Raises:
            TooLarge, UnreadableMedia: there is none.
        """
        pictures = sum(1 for _ in path.iterdir()) if path.is_dir() else 0
        seconds = seconds or limits().header_seconds * (1 + pictures // _PICTURES)
        request = {
            "function": f"{function.__module__}:{function.__qualname__}",
            "path": str(path),
            "bytes": limits().header_bytes,
            "seconds": seconds,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # it has ended; the empty reply says so
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
        pipe, reply, end = self._process.stdout.fileno(), b"", time.monotonic() + max(_WALL_SECONDS, 2 * seconds)
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        while not reply.endswith(b"\n"):
            raise_if_cancelled()
            if time.monotonic() > end:
                self.kill()
                raise _too_slow(path)
            if not poll.poll(_POLL_SECONDS * 1000):
                continue
            part = os.read(pipe, 1 << 16)
            if not part or len(reply) > _REPLY_BYTES:
                raise self._ended(path)
            reply += part
        found = json.loads(reply)
        if found.get("error") == MemoryError.__name__:
            self.kill()
            raise _too_much(path)
        return found

    def _ended(self, path: Path) -> TroupeError:
        """Return the error for a process that ended without a reply."""
        code = self._process.wait()
        self.kill()
        if code == -signal.SIGXCPU:
            return _too_slow(path)
        if code == -signal.SIGKILL:  # by the system, which had no memory left
            return _too_much(path)
        if code >= 0:
            return TroupeError(f"{sys.executable} -m {_MODULE} cannot start ({code}); install troupe again")
        return UnreadableMedia(f"{path.name} ended the process that read its headers ({code}); export the file again")


def _too_slow(path: Path) -> TooLarge:
    advice = limits().advice("header_seconds", "export it again")
    return TooLarge(f"reading the headers of {path.name} takes too many seconds; {advice}")


def _too_much(path: Path) -> TooLarge:
    advice = limits().advice("header_bytes", "export it again")
    return TooLarge(f"reading the headers of {path.name} takes too many bytes of memory; {advice}")


def _error(reply: dict[str, Any], path: Path) -> InputError:
    kind = getattr(errors, reply["error"], None) if reply["error"] in errors.__all__ else None
    if isinstance(kind, type) and issubclass(kind, InputError):
        return kind(reply["message"])
    return UnreadableMedia(f"{path.name} cannot be read: {reply['message']}; export it again")
