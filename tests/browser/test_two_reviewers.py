"""Two browsers review at once with `--claim`: no item is lost, and none is decided twice."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from selenium.webdriver.support.ui import WebDriverWait

from catalogs.review.decisions import Decisions
from catalogs.store.store import open_store
from flows.review import make_app
from flows.review.claiming import SessionClaims
from tests.browser.conftest import Browser, chromium
from tests.browser.test_review_queue import Reviewer, media, serving
from tests.flows.review.conftest import Review, review_of
from tests.flows.review.stores import film, review_store

__all__ = ["media"]

ITEMS = 200
PLACE = """return [document.getElementById('finished').hidden ? document.getElementById('title').textContent : null,
    document.getElementById('review').getAttribute('aria-busy') === 'false']"""
NAME = """const name = document.getElementById('reviewer');
    name.value = arguments[0]; name.dispatchEvent(new Event('change'))"""


@pytest.mark.slow
def test_two_browsers_at_once(tmp_path: Path, media: Path) -> None:
    rows = [film(n) for n in range(ITEMS)]
    review = review_of(review_store(tmp_path / "store", media, rows))
    context = replace(review.context, claims=SessionClaims(review.context.store))
    with serving(Review(context, make_app(context))) as address, chromium() as first, chromium() as second:
        with ThreadPoolExecutor(2) as pool:
            seen = list(pool.map(_decide_all, (first, second), (address, address), ("ada", "bob")))
        for browser in (first, second):  # what is on its way to the server is saved before the page is left
            WebDriverWait(browser, 20).until(lambda _: len(context.decisions.all()) >= ITEMS)
    history = Decisions(open_store(review.context.store.url)).all()
    decided = Counter(decision.key for decision in history)
    assert sorted(decided) == sorted(row["render_key"] for row in rows), "none lost"
    assert set(decided.values()) == {1}, "none twice"
    assert not set(seen[0]) & set(seen[1])
    shares = Counter(decision.reviewer for decision in history)
    print(f"decided by reviewer: {dict(shares)}")
    assert len(shares) == 2
    assert min(shares.values()) > ITEMS / 5


def _decide_all(browser: Browser, address: str, name: str) -> list[str]:
    """Approve everything that comes, and return the jobs."""
    reviewer, seen = Reviewer(browser, address), list[str]()
    browser.execute_script(NAME, name)
    reviewer.wait(f"return document.getElementById('status').textContent.includes('{name}')")
    until = time.monotonic() + 240
    while time.monotonic() < until:
        job, settled = browser.execute_script(PLACE)
        if job is None and settled:
            break
        if not settled or job in seen[-1:]:
            time.sleep(0.02)
            continue
        seen.append(job)
        reviewer.press("a")
    return seen
