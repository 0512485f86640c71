"""A property that threads share."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from troupe.shared_property import shared_property


class Worker:
    def __init__(self) -> None:
        self.loaded = 0
        self.first, self.rest = threading.Event(), threading.Event()

    @shared_property
    def model(self) -> int:
        """Load, until the other threads have asked as well."""
        self.loaded += 1
        self.first.set()
        self.rest.wait(5)
        return self.loaded

    @shared_property
    def nested(self) -> int:
        return self.model + 1


def test_threads_load_once() -> None:
    worker = Worker()
    with ThreadPoolExecutor(4) as threads:
        one = threads.submit(lambda: worker.model)
        assert worker.first.wait(5)
        others = [threads.submit(lambda: worker.model) for _ in range(3)]
        worker.rest.set()
        assert [one.result(), *(other.result() for other in others)] == [1] * 4


def test_properties_may_need_each_other() -> None:
    worker = Worker()
    worker.rest.set()
    assert worker.nested == 2
    assert isinstance(Worker.model, shared_property)
