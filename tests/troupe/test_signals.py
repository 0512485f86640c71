"""Signals as an event."""

from __future__ import annotations

import signal

import pytest

from troupe.signals import stoppable


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
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
