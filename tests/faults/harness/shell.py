"""A shell with job control on a pseudo-terminal, as a user at a keyboard has and a pipe does not."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import termios
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from shlex import join
from types import TracebackType
from typing import Self

from tests.faults.harness.workspace import wait_until

__all__ = ["CTRL_C", "CTRL_Z", "Shell"]

CTRL_C, CTRL_Z = "\x03", "\x1a"
ROWS, COLUMNS = 40, 160
PROMPT = "ready> "
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Shell:
    """An interactive bash that leads a session, with a pseudo-terminal as its controlling terminal.

    Args:
        folder: its working directory.
        variables: its environment variables.

    Example:
        >>> with Shell(tmp_path, os.environ) as shell:
        ...     shell.run("sleep", "100")
        ...     shell.press(CTRL_C)
        ...     assert shell.exit_code(5) == 130
    """

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(folder)
                own = {"PS1": PROMPT, "TERM": "xterm", "HISTFILE": "", "INPUTRC": os.devnull}
                words = ["bash", "--noprofile", "--norc", "--noediting", "-i"]
                os.execvpe(words[0], words, {**variables, **own})
            finally:
                os._exit(127)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.raw = ""
        self._since = self.typed = self.asked = 0
        self._closed = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self.shows(PROMPT, 10), self.raw

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        with suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    @property
    def text(self) -> str:
        """The output since the last command, without escape sequences."""
        return _ESCAPES.sub("", self.raw[self._since :])

    @property
    def cursor_visible(self) -> bool:
        """Whether the terminal shows its cursor."""
        return self.raw.rfind(SHOW_CURSOR) >= self.raw.rfind(HIDE_CURSOR)

    def press(self, keys: str) -> None:
        """Send keys unchanged."""
        self.typed = len(self.raw)
        os.write(self._terminal, keys.encode())

    def run(self, *words: str, after: str = "") -> None:
        """Type a command line, `after` unquoted behind it, and press Enter."""
        self._since = len(self.raw)
        self.press(f"{join(words)} {after}\n")

    def shows(self, text: str, seconds: float) -> bool:
        """Return whether the output since the last command contains the text in time."""
        return wait_until(lambda: text in self.text, seconds)

    def exit_code(self, seconds: float) -> int | None:
        """Return the exit code of the last command; None if it does not end in time."""
        if not wait_until(lambda: PROMPT in self.raw[self.typed :], seconds):
            return None
        self.asked += 1
        self.press(f"echo code-{self.asked}=$?.\n")
        answer = re.compile(rf"code-{self.asked}=(\d+)\.")
        wait_until(lambda: answer.search(self.raw) is not None, 10)
        found = answer.search(self.raw)
        return int(found[1]) if found else None

    def close(self) -> None:
        """Close the terminal, as with its window: the shell and its jobs get SIGHUP."""
        self._closed.set()
        self._reader.join()
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1

    def _read(self) -> None:
        os.set_blocking(self._terminal, False)
        while not self._closed.is_set():
            try:
                data = os.read(self._terminal, 1 << 16)
            except BlockingIOError:
                self._closed.wait(0.01)
                continue
            except OSError:
                return
            self.raw += data.decode(errors="replace")
