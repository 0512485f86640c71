"""Keep child processes away from the user's terminal.

A process in a background process group that reads from its terminal, or changes its settings, is stopped by the
kernel with its whole group (SIGTTIN, SIGTTOU). ffmpeg changes them at its start if its standard input is a terminal,
and libraries run ffmpeg when they are imported. So no process that troupe starts inherits a terminal as standard input.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["close_stdin", "private_terminal", "without_stdin"]

_STDIN, _STDOUT, _STDERR = 0, 1, 2


def close_stdin() -> None:
    """Make /dev/null the standard input of this process and its future children, permanently.

    Workers call it before they import anything else.
    """
    null = os.open(os.devnull, os.O_RDONLY)
    if null != _STDIN:
        os.dup2(null, _STDIN)  # inheritable, unlike `null`
        os.close(null)


@contextmanager
def without_stdin() -> Iterator[None]:
    """Replace a terminal as standard input by /dev/null inside the `with` block.

    For imports that start processes, in a process that may need its terminal afterwards.
    """
    if not os.isatty(_STDIN):
        yield
        return
    kept = os.dup(_STDIN)
    close_stdin()
    try:
        yield
    finally:
        os.dup2(kept, _STDIN)
        os.close(kept)


def private_terminal() -> None:
    """Keep the terminal from child processes; the command line calls this first.

    Prompts still read `sys.stdin`, which gets a descriptor that children do not inherit; they get /dev/null. Output
    after the terminal or pipe was closed is dropped: SIGHUP ends the process in order and not an error of the next
    progress line, and `| head -1` ends no run.
    """
    if os.isatty(_STDIN):
        sys.stdin = os.fdopen(os.dup(_STDIN), encoding=sys.stdin.encoding, errors=sys.stdin.errors)
        close_stdin()
    sys.stdout = _closable_stream(sys.stdout, _STDOUT)
    sys.stderr = _closable_stream(sys.stderr, _STDERR)


class _Closable(io.FileIO):
    """A terminal or pipe that drops output after it was closed."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError as error:
            if error.errno not in (errno.EIO, errno.EPIPE):
                raise
            return len(memoryview(data).cast("B"))


def _closable_stream(stream: Any, descriptor: int) -> io.TextIOWrapper:
    raw = _Closable(descriptor, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=stream.encoding, errors=stream.errors, line_buffering=True)
