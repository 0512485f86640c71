"""Turns at a device."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from models.runtime.turns import Turns


def in_thread(run: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def wait_until_wanted(turns: Turns) -> None:
    while not turns.wanted:
        pass


def test_a_long_turn_gives_way_to_short_ones_and_to_no_long_one() -> None:
    turns, log = Turns(), list[str]()

    def short() -> None:
        with turns.short():
            log.append("decoded")

    def long() -> None:
        with turns.long():
            log.append("next denoised")

    with turns.long():
        log.append("first call")
        threads = [in_thread(long), in_thread(short)]
        wait_until_wanted(turns)
        turns.give_way()
        log.append("second call")
        assert not turns.wanted
    for thread in threads:
        thread.join(20)
    assert log == ["first call", "decoded", "second call", "next denoised"]


def test_one_thread_computes_at_a_time() -> None:
    turns, computing, most = Turns(), 0, 0

    def compute() -> None:
        nonlocal computing, most
        computing += 1
        most = max(most, computing)
        computing -= 1

    def denoise() -> None:
        for _ in range(50):
            with turns.long():
                for _ in range(5):
                    compute()
                    turns.give_way()

    def decode() -> None:
        for _ in range(200):
            with turns.short():
                compute()

    threads = [in_thread(run) for run in (denoise, decode, denoise, decode)]
    for thread in threads:
        thread.join(20)
    assert most == 1
    assert not any(thread.is_alive() for thread in threads)


def test_turns_of_one_thread_may_be_nested() -> None:
    turns = Turns()
    with turns.long(), turns.short(), turns.short():
        assert not turns.wanted


def test_a_failed_turn_ends() -> None:
    turns = Turns()
    with pytest.raises(KeyError), turns.long():
        raise KeyError
    ended = threading.Event()

    def next_turn() -> None:
        with turns.long():
            ended.set()

    in_thread(next_turn)
    assert ended.wait(20)
