"""flows.review.calls, and what pages say while the store does not answer."""

from __future__ import annotations

import asyncio
import threading

import pytest

from catalogs.store.store import Store
from flows.review.calls import BoundedCalls
from tests.flows.review.conftest import Review, review_of
from troupe.errors import StoreError


def test_a_store_that_hangs_is_reported_and_recovers() -> None:
    before = threading.active_count()
    calls, returned = BoundedCalls(threads=2, timeout=0.05), threading.Event()

    async def trial() -> None:
        hanging = [calls.run(returned.wait) for _ in range(10)]
        for outcome in await asyncio.gather(*hanging, return_exceptions=True):
            assert isinstance(outcome, StoreError)
            assert "has not answered" in str(outcome)
        assert threading.active_count() <= before + 2
        returned.set()
        while True:  # the threads are free again as soon as the store answers
            try:
                assert await calls.run(lambda: 7) == 7
            except StoreError:
                continue
            return

    asyncio.run(trial())


def test_calls_one_after_the_other_share_a_thread() -> None:
    """Allocators keep memory for each thread."""
    calls = BoundedCalls()

    async def trial() -> set[str]:
        return {(await calls.run(threading.current_thread)).name for _ in range(20)}

    assert len(asyncio.run(trial())) == 1


def test_pages_say_that_the_store_is_gone(review: Review, monkeypatch: pytest.MonkeyPatch) -> None:
    store = review.context.store
    client = review_of(store).client()
    answer = client.get("/api/queue")
    assert answer.status_code == 200

    def gone(self: Store, key: str) -> bool:
        raise StoreError(f"cannot read {key}: connection refused; check the store")

    with monkeypatch.context() as broken:
        broken.setattr(Store, "exists", gone)
        page = client.get("/")
        assert page.status_code == 503
        assert "connection refused" in page.text
        assert "Try again" in page.text
        assert client.get("/", headers={"Accept": "application/json"}).json()["retry"] is True
    assert client.get("/").status_code == 200
