"""Progress bars for a shell with job control: Ctrl-Z, `fg`, `bg` and `&`."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import Progress

__all__ = ["SuspendableProgress", "acknowledging", "shows_bars"]

STOPPING = "stopping; what is finished is kept (press Ctrl-C again to end at once)"

POLL_SECONDS = 0.5
"""Seconds between checks whether a process in the background is in the foreground again."""


def shows_bars(console: Console) -> bool:
    """Return whether the console is a terminal with this process in the foreground.

    A process in the background shares the terminal with the shell, whose prompt a bar would overwrite.
    """
    if not console.is_terminal:
        return False
    try:
        return os.tcgetpgrp(console.file.fileno()) == os.getpgrp()
    except OSError:  # a terminal without job control
        return True


@contextmanager
def acknowledging(stop: threading.Event, note: Callable[[str], None]) -> Iterator[None]:
    """Say at once that the first signal was received, which may take seconds to have an effect.

    Args:
        stop: event that the signal sets.
        note: shows a line of text, from another thread: a signal handler must not write.
    """
    closing = threading.Event()

    def acknowledge() -> None:
        while not closing.is_set():
            if stop.wait(POLL_SECONDS / 5):
                note(STOPPING)
                return

    thread = threading.Thread(target=acknowledge, name="acknowledge", daemon=True)
    thread.start()
    try:
        yield
    finally:
        closing.set()
        thread.join()


class SuspendableProgress(Progress):
    """Progress bars that are hidden while the process is suspended or in the background.

    SIGCONT has a handler only while the process is suspended. A terminal that closes, and `timeout`, send SIGCONT right
    after their signal: with handlers for both, the kernel may give both to another thread, and the main thread, which
    runs Python's handlers, sleeps on.
    """

    _handling = False

    def start(self) -> None:
        """Show the bars, and hide them on Ctrl-Z before the process is suspended."""
        if threading.current_thread() is threading.main_thread():
            # Without job control SIGTSTP is ignored, and stays so.
            self._handling = signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL
        if self._handling:
            signal.signal(signal.SIGTSTP, self._suspend)
        super().start()

    def stop(self) -> None:
        """Show the final state and restore the default actions of the signals."""
        if self._handling:
            self._handling = False
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            signal.signal(signal.SIGCONT, signal.SIG_DFL)
        super().stop()

    def _suspend(self, *_: Any) -> None:
        # The default action suspends the process, or does nothing where no shell could resume it. Another thread raises
        # the signal: this one may hold locks that hiding the bars needs.
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.signal(signal.SIGCONT, self._resume)
        threading.Thread(target=self._suspend_process, daemon=True).start()

    def _suspend_process(self) -> None:
        super().stop()
        signal.pthread_kill(threading.get_ident(), signal.SIGTSTP)
        while self._handling and not shows_bars(self.console):
            time.sleep(POLL_SECONDS)
        if self._handling:
            super().start()

    def _resume(self, *_: Any) -> None:
        signal.signal(signal.SIGCONT, signal.SIG_DFL)
        if self._handling:
            signal.signal(signal.SIGTSTP, self._suspend)
