"""Signals as an event."""

from __future__ import annotations

import signal
import threading

import pytest

from troupe.errors import Cancelled
from troupe.process.signals import call_stoppable, map_stoppable, stoppable


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_each_of_these_signals_stops_once(number: signal.Signals) -> None:
    before = signal.default_int_handler
    inherited = signal.signal(number, before)  # `nohup` starts the tests with SIGHUP ignored
    try:
        with stoppable() as stop:
            signal.raise_signal(number)
            assert stop.is_set()
            assert signal.getsignal(number) is before, "the second does what it did before"
        assert signal.getsignal(number) is before
    finally:
        signal.signal(number, inherited)


@pytest.mark.parametrize("first", [signal.SIGHUP, signal.SIGINT])
def test_a_closed_terminal_does_not_end_what_is_stopping(first: signal.Signals) -> None:
    """A shell sends SIGHUP, and the kernel another one when the shell has ended."""
    later, inherited = list[int](), signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, lambda number, _: later.append(number))
    try:
        with stoppable() as stop:
            signal.raise_signal(first)
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGHUP)
            assert stop.is_set()
            assert later == []
        signal.raise_signal(signal.SIGHUP)
        assert later == [signal.SIGHUP]
    finally:
        signal.signal(signal.SIGHUP, inherited)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """`nohup` ignores SIGHUP; a script ignores SIGINT for what it starts by `&`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.is_set()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_inner_block_has_the_outer_ones_event() -> None:
    with stoppable() as outer, stoppable() as inner:
        assert inner is outer


def test_values_are_mapped_in_order_and_the_first_error_is_raised() -> None:
    assert map_stoppable(lambda value: value * 2, range(100)) == list(range(0, 200, 2))
    assert map_stoppable(str, []) == []
    with pytest.raises(ZeroDivisionError):
        map_stoppable(lambda value: 1 // value, [1, 0, 2])


def test_a_stop_leaves_a_call_that_hangs_behind() -> None:
    hanging, calls = threading.Event(), iter([None])

    def raise_if_cancelled() -> None:
        if next(calls, "stopped") == "stopped":
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        call_stoppable(hanging.wait, raise_if_cancelled)
    left = [thread for thread in threading.enumerate() if thread.daemon and thread.is_alive()]
    assert left, "which does not keep the process from ending"
    hanging.set()
