"""Grid, runs and identities of `troupe review` in a browser: media held, keys, live progress, accessibility."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from catalogs.store.store import Store
from catalogs.table.runs import RunInfo, write_run
from tests.browser.conftest import AXE, Browser
from tests.browser.test_review_queue import media, serving
from tests.catalogs.conftest import record, row
from tests.flows.review.conftest import Review, review_of
from tests.flows.review.stores import film, review_store
from troupe.errors import NoFace

__all__ = ["media"]

HELD = """return [document.querySelectorAll('.card').length, document.querySelectorAll('.card img[src]').length,
    document.querySelectorAll('video').length]"""
FOCUSED = "return document.activeElement.closest('.card')?.dataset.job"
STATE = "return document.querySelector(`[data-job='${arguments[0]}'] .state`).textContent"


@pytest.fixture(scope="module")
def review(tmp_path_factory: pytest.TempPathFactory, media: Path) -> Review:
    """The application over 1000 renders, whose posters are one file."""
    root = tmp_path_factory.mktemp("grid") / "store"
    store = review_store(root, media, [film(n) for n in range(10)], failed=2)
    first = film(0, run="r2")
    more = [first | {"job_id": f"job-{n:03d}", "render_key": f"film-{n}"} for n in range(10, 1000)]
    record(store, "r2", more)
    for entry in more:
        folder = root / "renders" / entry["render_key"]
        folder.mkdir()
        (folder / "poster.jpg").hardlink_to(root / "renders" / film(0)["render_key"] / "poster.jpg")
    write(store, "running", counts={"done": 3})
    return review_of(store)


def write(store: Store, state: Any, **changes: Any) -> None:
    now = datetime.now(UTC)
    write_run(store, RunInfo("r9", state, now, now, **{"jobs": 10, "where": "elsewhere:7", **changes}))


@pytest.fixture(scope="module")
def address(review: Review) -> Iterator[str]:
    with serving(review) as found:
        yield found


def opened(browser: Browser, address: str, path: str, **screen: Any) -> Browser:
    browser.set_screen(**screen)
    browser.console_messages()
    browser.get(address.replace("/?", f"/{path}?" if "?" not in path else f"/{path}&"))
    return browser


def until(browser: Browser, script: str, *arguments: Any) -> Any:
    return WebDriverWait(browser, 20).until(lambda _: browser.execute_script(script, *arguments))


@pytest.mark.long
def test_a_thousand_thumbnails(browser: Browser, address: str) -> None:
    """Of 1000 cards, only those around the window have their media."""
    page = opened(browser, address, "grid?order=job")
    most = 0
    for _ in range(200):
        page.execute_script("window.scrollBy(0, 2000)")
        WebDriverWait(page, 20).until(lambda _: page.execute_script(HELD)[1] > 0)
        count, held, videos = page.execute_script(HELD)
        most = max(most, held)
        assert videos <= 1
        if count >= 1000:
            break
    assert count >= 1000
    until(page, "window.scrollTo(0, 0); return document.querySelectorAll('.card img[src]').length < 120")
    until(page, "return document.querySelector('.card img[src]')?.naturalWidth > 0")
    assert most < 180  # a screen of 1280 x 900 has 28 cards, and 1.2 screens are loaded around it


def test_decisions_by_keyboard(browser: Browser, address: str, review: Review) -> None:
    page = opened(browser, address, "grid?order=job&run=r1&status=done")

    def press(*keys: str) -> None:
        ActionChains(page).send_keys(*keys).perform()

    press(Keys.ARROW_RIGHT)
    until(page, f"{FOCUSED} === 'job-000'")
    until(page, "const v = document.querySelector('video'); return Boolean(v && v.currentTime > 0.05)")
    press("a")
    until(page, f"{FOCUSED} === 'job-001'")
    press("r")
    until(page, "return document.getElementById('reasons').open")
    press("1")
    until(page, f"{FOCUSED} === 'job-002'")
    press(Keys.ARROW_DOWN)
    press(Keys.ARROW_UP)
    until(page, f"{FOCUSED} === 'job-002'")
    press("a", "u")
    until(page, f"{FOCUSED} === 'job-002'")
    for job, state in (("job-000", "approved"), ("job-001", "rejected"), ("job-002", "pending")):
        WebDriverWait(page, 20).until(lambda _: page.execute_script(STATE, job) == state)  # noqa: B023

    def stored() -> list[str]:
        films = [film(n) for n in range(3)]
        states = review.context.decisions.of([entry["render_key"] for entry in films])
        return [states[entry["render_key"]].state for entry in films]

    WebDriverWait(page, 20).until(lambda _: stored() == ["approved", "rejected", "pending"])
    assert page.console_messages() == []


def test_filters_are_in_the_address(browser: Browser, address: str) -> None:
    page = opened(browser, address, "grid")
    enter = "const form = document.getElementById('filters'); form.identity.value = arguments[0]; form.requestSubmit()"
    page.execute_script(enter, "PERSON 0")
    until(page, "return location.search === '?order=newest&identity=PERSON+0'")
    until(page, "return document.getElementById('total').textContent.startsWith('992')")


def test_progress_is_live(browser: Browser, address: str, review: Review) -> None:
    page = opened(browser, address, "runs/r9")
    shown = "return document.getElementById(arguments[0]).textContent"
    store = review.context.store
    write(store, "running", counts={"done": 5, "failed": 1})
    WebDriverWait(page, 20, 0.05).until(lambda _: page.execute_script(shown, "ended") == "6")
    record(store, "r9", [row("r9", "bad", "failed", error=NoFace("no face <b>at all</b>"))])
    until(page, "return document.querySelector('#failures li p')?.textContent === 'no face <b>at all</b>'")
    write(store, "completed", counts={"done": 9, "failed": 1}, note="9 of 10 jobs done")
    WebDriverWait(page, 20, 0.05).until(lambda _: page.execute_script(shown, "state") == "completed")
    assert page.execute_script(shown, "note") == "9 of 10 jobs done"
    assert page.console_messages() == []


@pytest.mark.parametrize("path", ["grid?order=identity", "runs", "runs/r9", "identities", "identity?label=Person%201"])
def test_accessibility(browser: Browser, address: str, path: str) -> None:
    if not AXE.exists():
        pytest.skip("axe-core not found: npm install --prefix build/axe axe-core")
    for width, dark in ((1280, False), (1280, True), (390, False)):
        page = opened(browser, address, path, width=width, height=844, dark=dark, touch=width < 500)
        assert page.axe() == []
        assert page.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert browser.console_messages() == []
