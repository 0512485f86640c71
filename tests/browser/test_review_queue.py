"""The queue of `troupe review` in a browser: renders are decided by keyboard alone, and the store says the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from starlette.types import ASGIApp

from catalogs.review.decisions import Decisions
from catalogs.store.store import open_store
from flows.review import make_app
from flows.review.server import bind, make_server
from tests.browser.conftest import AXE, Browser
from tests.flows.review.conftest import Review, review_of
from tests.flows.review.stores import film, review_store, write_media

PLAYING = "const v = document.querySelector('#result video'); return Boolean(v && v.currentTime > 0.05 && !v.error)"
SETTLED = "return document.getElementById('review').getAttribute('aria-busy') === 'false'"


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip, a film and a portrait."""
    folder = tmp_path_factory.mktemp("media")
    write_media(folder)
    return folder


@contextmanager
def serving(review: Review, around: Callable[[ASGIApp], ASGIApp] = lambda app: app) -> Iterator[str]:
    """Serve the application, with middleware around it, and yield the address with the token."""
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = make_server(around(make_app(review.context, cookie=f"troupe_{port}")))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}/?token={review.context.secrets.token}"
    finally:
        server.should_exit = True
        thread.join()


class Reviewer:
    """A person with a keyboard and no mouse."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.browser = browser
        browser.set_screen()
        browser.get(address)
        self.wait(SETTLED)

    def press(self, *keys: str) -> None:
        ActionChains(self.browser).send_keys(*keys).perform()

    def wait(self, script: str) -> Any:
        return WebDriverWait(self.browser, 20).until(lambda _: self.browser.execute_script(script))

    def until(self, condition: Callable[[], bool]) -> None:
        WebDriverWait(self.browser, 20).until(lambda _: condition())

    @property
    def job(self) -> str:
        return str(self.browser.execute_script("return document.getElementById('title').textContent"))

    def counts(self) -> str:
        return str(self.browser.execute_script("return document.getElementById('counts').textContent"))


@pytest.mark.parametrize("count", [6, pytest.param(50, marks=pytest.mark.slow)])
def test_renders_are_decided_by_keyboard(browser: Browser, tmp_path: Path, media: Path, count: int) -> None:
    inputs = {"driving": str(media / "clip.mp4"), "portrait": str(media / "portrait.png")}
    rows = [film(n, **inputs) for n in range(1, count)] + [film(0, "en", **inputs), film(0, "fr", **inputs)]
    store = review_store(tmp_path / "store", media, rows)
    with serving(review_of(store, media)) as address:
        reviewer = Reviewer(browser, address)
        assert "token" not in browser.current_url
        expected: dict[str, str] = {}
        seen = []
        for place in range(count + 1):
            job = reviewer.job
            seen.append(job)
            reviewer.wait(PLAYING)
            reviewer.press(*("r", "3") if place % 3 == 2 else "a")
            expected[job] = "rejected" if place % 3 == 2 else "approved"
            reviewer.until(lambda job=job, place=place: reviewer.job != job or place == count)  # type: ignore[misc]
        assert sorted(seen) == sorted(row["job_id"] for row in rows), "each once"
        reviewer.wait("return !document.getElementById('finished').hidden")
        # Undo goes back to the last one, which is then commented on at a time.
        reviewer.press("u")
        reviewer.until(lambda: reviewer.job == seen[-1])
        expected[seen[-1]] = "pending"
        reviewer.wait(PLAYING)
        reviewer.press("0", "k", "j", ",", ".", ".", ".")
        reviewer.press("c", "the mouth is open", Keys.ENTER)
        reviewer.wait("return document.getElementById('history').textContent.includes('the mouth is open')")
        state = expected.values()
        reviewer.until(lambda: reviewer.counts().startswith("1 pending"))
        assert f"{list(state).count('approved')} approved" in reviewer.counts()
        assert browser.console_messages() == []
    decisions = Decisions(open_store(store.url))  # as another process reads it
    keys, pictures = ([row[name] for row in rows] for name in ("render_key", "picture_key"))
    states = decisions.of(keys, pictures)
    assert {row["job_id"]: states[row["render_key"]].state for row in rows} == expected
    history = decisions.all()
    assert {decision.reviewer for decision in history} == {"ada"}
    assert {decision.reason for decision in history if decision.kind == "rejected"} == {"flicker"}
    assert [decision.kind for decision in history[-2:]] == ["undo", "comment"]
    assert history[-1].comment == "the mouth is open"
    assert history[-1].time_seconds == pytest.approx(3.5 / 25, abs=1 / 25)


def test_comparing_and_languages(browser: Browser, tmp_path: Path, media: Path) -> None:
    """Frame steps are exact, clip and result stay in sync, a switch of language keeps the time."""
    inputs = {"driving": str(media / "clip.mp4"), "portrait": str(media / "portrait.png")}
    store = review_store(tmp_path / "store", media, [film(0, "en", **inputs), film(0, "fr", **inputs)], failed=1)
    with serving(review_of(store, media)) as address:
        reviewer = Reviewer(browser, address)
        reviewer.wait(PLAYING)
        reviewer.press("0", " ")
        frame = "return document.getElementById('time').textContent.split('frame ')[1]"
        reviewer.press("0", ".", ".", ".")
        reviewer.wait(f"{frame} === '4/50'".replace("return ", "return (").replace(" ===", ") ===", 1))
        reviewer.press(",")
        reviewer.wait(f"return ({frame.removeprefix('return ')}) === '3/50'")
        reviewer.wait(
            "const [c, r] = ['#clip', '#result'].map(p => document.querySelector(p + ' video').currentTime);"
            "return Math.abs(c - r) < 0.02"
        )
        first = reviewer.job
        reviewer.press("1" if first.endswith(".fr") else "2")
        reviewer.until(lambda: reviewer.job != first)
        reviewer.wait(f"return ({frame.removeprefix('return ')}) === '3/50'")
        assert browser.execute_script("return document.querySelector('#result video').paused")
        reviewer.press("f")
        reviewer.wait("return document.querySelector('#result img.overlay')?.naturalWidth > 0")
        reviewer.press("f", "d")
        reviewer.wait("return document.querySelector('#result img.overlay.difference')?.naturalWidth > 0")
        reviewer.press("d")
        reviewer.wait("return Boolean(document.querySelector('#result canvas.previous'))")
        reviewer.press("d", "]", "]", "[")
        reviewer.wait("return document.getElementById('speed').textContent.startsWith('1.5')")
        # A decision for the picture is one for all its languages.
        reviewer.press("s", "a")
        reviewer.wait("return document.getElementById('counts').textContent.includes('approved')")
        reviewer.press("?")
        reviewer.wait("return document.getElementById('help').open")
        reviewer.press(Keys.ESCAPE)
        assert browser.console_messages() == []
    (decision,) = Decisions(open_store(store.url)).all()
    assert (decision.scope, decision.key) == ("picture", film(0)["picture_key"])


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False)])
def test_accessibility(browser: Browser, tmp_path: Path, media: Path, width: int, dark: bool) -> None:
    if not AXE.exists():
        pytest.skip("axe-core not found: npm install --prefix build/axe axe-core")
    store = review_store(tmp_path / "store", media, [film(0, "en"), film(0, "fr"), film(1)], failed=1)
    with serving(review_of(store)) as address:
        reviewer = Reviewer(browser, address)
        browser.set_screen(width=width, height=844, dark=dark, touch=width < 500)
        base = address.partition("?")[0]
        paths = ["", "job?run=r1&job=job-000.en"]
        if width > 500 and not dark:
            paths += ["job?run=r1&job=failed-0", "?state=approved", "nothing"]
        for path in paths:
            browser.get(f"{base}{path}")
            if path != "nothing":
                reviewer.wait(SETTLED)
            assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth"), path
            assert browser.axe() == [], path
        browser.get(base)
        reviewer.wait(SETTLED)
        reviewer.press("r")
        assert browser.axe() == []
        reviewer.press("?")
        assert browser.axe() == []
        assert all("404" in message for message in browser.console_messages())  # of the page that does not exist
