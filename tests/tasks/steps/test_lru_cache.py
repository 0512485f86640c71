"""The cache that the threads of a worker share."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.steps.lru_cache import LRUCache


def test_the_least_recently_used_is_dropped() -> None:
    cache, made = LRUCache[str](2), list[str]()

    def get(key: str) -> str:
        return cache.get(key, lambda: made.append(key) or key)  # type: ignore[func-returns-value]

    for key in "abacab":
        assert get(key) == key
    assert made == ["a", "b", "c", "b"]


def test_a_value_that_cannot_be_made_is_made_again() -> None:
    cache = LRUCache[int](2)
    with pytest.raises(ZeroDivisionError):
        cache.get("a", lambda: 1 // 0)
    assert cache.get("a", lambda: 1) == 1


def test_threads_wait_for_the_same_value_only() -> None:
    cache, entered, go_on = LRUCache[str](2), threading.Event(), threading.Event()

    def slow() -> str:
        entered.set()
        assert go_on.wait(20)
        return "slow"

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(cache.get, "a", slow)
        assert entered.wait(20)
        second = threads.submit(cache.get, "a", lambda: "made twice")
        assert cache.get("b", lambda: "other") == "other"
        go_on.set()
        assert first.result(20) == second.result(20) == "slow"
