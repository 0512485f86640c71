"""Progress bars for a shell with job control: Ctrl-Z, `fg`, `bg` and `&`."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

from rich.console import Console
from rich.progress import Progress

__all__ = ["SuspendableProgress", "shows_bars"]

POLL_SECONDS = 0.5
"""How often a process in the background checks whether it is in the foreground again."""


def shows_bars(console: Console) -> bool:
    """Whether the console is a terminal that this process has to itself.

    A process in the background shares it with the shell, whose prompt a bar would overwrite.
    """
    if not console.is_terminal:
        return False
    try:
        return os.tcgetpgrp(console.file.fileno()) == os.getpgrp()
    except OSError:  # a terminal without job control
        return True


class SuspendableProgress(Progress):
    """Bars that leave the terminal, with its cursor, while the process is stopped or in the background."""

    _handling = False

    def start(self) -> None:
        """Show the bars; from now on Ctrl-Z hides them first."""
        if threading.current_thread() is threading.main_thread():
            # Ignored where there is no job control: then it stays so.
            self._handling = signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL
        if self._handling:
            signal.signal(signal.SIGTSTP, self._suspend)
            signal.signal(signal.SIGCONT, self._resumed)
        super().start()

    def stop(self) -> None:
        """Show their last state; Ctrl-Z does what it did before."""
        if self._handling:
            self._handling = False
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            signal.signal(signal.SIGCONT, signal.SIG_DFL)
        super().stop()

    def _suspend(self, *_: Any) -> None:
        # The default action stops the process, or does nothing where no shell could resume it. A thread raises it: this
        # one may hold locks that hiding the bars takes.
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        threading.Thread(target=self._suspend_process, daemon=True).start()

    def _suspend_process(self) -> None:
        super().stop()
        signal.pthread_kill(threading.get_ident(), signal.SIGTSTP)
        while self._handling and not shows_bars(self.console):
            time.sleep(POLL_SECONDS)
        if self._handling:
            super().start()

    def _resumed(self, *_: Any) -> None:
        if self._handling:
            signal.signal(signal.SIGTSTP, self._suspend)
