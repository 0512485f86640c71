"""Signals and the terminal."""

from __future__ import annotations

import threading

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
