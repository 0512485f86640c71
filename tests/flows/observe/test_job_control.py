"""Signals and the terminal."""

from __future__ import annotations

import signal
import threading
from io import StringIO

from rich.console import Console

from flows.observe.display import BarDisplay
from flows.observe.job_control import STOPPING, acknowledging


def test_a_stop_is_acknowledged_at_once() -> None:
    stop, acknowledged, notes = threading.Event(), threading.Event(), list[str]()

    def note(text: str) -> None:
        notes.append(text)
        acknowledged.set()

    with acknowledging(stop, note):
        stop.set()
        assert acknowledged.wait(20)
    assert notes == [STOPPING]


def test_without_a_stop_nothing_is_said() -> None:
    notes: list[str] = []
    with acknowledging(threading.Event(), notes.append):
        pass
    assert notes == []


def test_bars_do_not_handle_the_signal_that_follows_a_closed_terminals() -> None:
    """SIGCONT comes right after SIGHUP; handled, it wakes another thread than the one that stops the run."""
    inherited = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    try:
        with BarDisplay(Console(file=StringIO(), force_terminal=True), transient=True):
            assert signal.getsignal(signal.SIGTSTP) is not signal.SIG_DFL
            assert signal.getsignal(signal.SIGCONT) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTSTP, inherited)
