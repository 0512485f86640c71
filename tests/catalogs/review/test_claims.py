"""catalogs.review.claims: two reviewers get different items."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest

from catalogs.review.claims import Claims
from catalogs.store.store import Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ITEMS = [f"item {number}" for number in range(9)]


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.minutes = 0.0

    def __call__(self) -> datetime:
        return NOON + timedelta(minutes=self.minutes)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_two_reviewers_get_different_items(store: Store, clock: Clock) -> None:
    ana, bo = (Claims(store, name, clock=clock) for name in ("Ana", "Bo"))
    assert ana.claim(ITEMS, 3) == ITEMS[:3] == ana.claim(ITEMS, 3)
    assert bo.claim(ITEMS, 2) == ITEMS[3:5]
    assert bo.others() == dict.fromkeys(ITEMS[:3], "Ana")
    ana.release([ITEMS[1], ITEMS[4]])  # the second is Bo's
    assert bo.claim(ITEMS, 4) == [ITEMS[1], *ITEMS[3:6]]
    assert bo.renew(ITEMS) == [ITEMS[1], *ITEMS[3:6]]


def test_a_claim_expires_unless_it_is_renewed(folder_store: Store, clock: Clock) -> None:
    ana, bo = (Claims(folder_store, name, clock=clock) for name in ("Ana", "Bo"))
    ana.claim(ITEMS, 2)
    clock.minutes = 4
    assert ana.renew(ITEMS[:1]) == ITEMS[:1]
    clock.minutes = 6
    assert bo.claim(ITEMS[:3], 9) == ITEMS[1:3]
    assert ana.renew(ITEMS[:2]) == ITEMS[:1]
    ana.release(ITEMS)
    assert ana.claim(ITEMS, 1) == ITEMS[:1]
    clock.minutes = 99
    assert not bo.others()
    assert len(folder_store.list("claims")) == 3
    assert ana.claim(ITEMS, 9) == ITEMS


def test_only_one_of_many_takes_over(folder_store: Store, clock: Clock) -> None:
    Claims(folder_store, "Ana", clock=clock).claim(ITEMS, 4)
    clock.minutes = 6
    sessions, start = [Claims(folder_store, f"r{n}", clock=clock) for n in range(6)], Barrier(6)

    def claim(session: Claims) -> list[str]:
        start.wait()
        return session.claim(ITEMS, 9)

    with ThreadPoolExecutor(6) as pool:
        got = [item for items in pool.map(claim, sessions) for item in items]
    assert len(got) == len(set(got))
    # Whoever is late for one of them gets it the next time.
    assert set(got) <= set(ITEMS)
    assert sum(len(session.renew(ITEMS)) for session in sessions) == 9


def test_a_damaged_claim_is_removed(folder_store: Store, clock: Clock) -> None:
    ana = Claims(folder_store, "Ana", clock=clock)
    ana.claim(ITEMS, 1)
    (key,) = folder_store.list("claims")
    folder_store.replace(b"{", key)
    assert ana.renew(ITEMS) == []
    assert ana.claim(ITEMS, 1) == ITEMS[:1]
