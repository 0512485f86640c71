"""The report in a browser: as a file and from a server, sorting, filtering, playing, screen sizes, colour schemes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from catalogs.report import render_page
from tasks.media import VideoMetadata, encode
from tests.browser.conftest import AXE, Browser
from tests.catalogs.report.test_page import NASTY, family, made


def shown(browser: Browser) -> list[str]:
    """Return the names of the visible jobs, in order."""
    jobs = browser.find_elements(By.CSS_SELECTOR, "article:not([hidden]) h3")
    return [job.text for job in jobs]


@pytest.fixture(params=["file", "server"])
def page(request: pytest.FixtureRequest, browser: Browser, report: Path) -> Browser:
    """Open the report of a real run."""
    browser.set_screen()
    browser.get(report.as_uri() if request.param == "file" else request.getfixturevalue("served"))
    browser.execute_script("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
    return browser


def test_report_shows_all_jobs(page: Browser) -> None:
    assert "Run r1" in page.find_element(By.TAG_NAME, "h1").text
    assert shown(page) == ["nobody", "olive", "ruby"]
    WebDriverWait(page, 20).until(
        lambda _: page.execute_script("return [...document.images].every(i => i.complete && i.naturalWidth > 0)")
    )
    assert len(page.find_elements(By.TAG_NAME, "img")) == 6
    text = page.find_element(By.TAG_NAME, "main").text
    assert "<i>Olive" in text
    assert "troupe retry r1" in text
    assert "missing_input" in text
    assert page.console_messages() == []


def test_sorting_and_filtering(page: Browser) -> None:
    Select(page.find_element(By.ID, "sort")).select_by_value("seconds")
    assert shown(page) == ["olive", "ruby", "nobody"]
    Select(page.find_element(By.ID, "status")).select_by_visible_text("done")
    assert shown(page) == ["olive", "ruby"]
    page.find_element(By.ID, "search").send_keys("HELLO")
    assert shown(page) == ["ruby"]
    assert page.find_element(By.ID, "count").text == "1 of 3 jobs"
    page.find_element(By.ID, "search").send_keys(Keys.CONTROL, "a", Keys.DELETE)
    page.find_element(By.ID, "flagged").click()
    assert shown(page) == []
    assert page.console_messages() == []


def test_video_plays_inline(page: Browser) -> None:
    link = page.find_element(By.CSS_SELECTOR, "article[data-job=ruby] a.play")
    link.send_keys(Keys.ENTER)  # without a mouse
    WebDriverWait(page, 20).until(
        lambda _: page.execute_script("const v = document.querySelector('video'); return v && v.currentTime > 0.05")
    )
    state: Any = page.execute_script(
        "const v = document.querySelector('video'); return [v.videoWidth, v.error, v.duration]"
    )
    assert state[:2] == [256, None]
    assert state[2] == pytest.approx(0.2, abs=0.05)
    assert page.console_messages() == []


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False)])
def test_accessibility(browser: Browser, report: Path, width: int, dark: bool) -> None:
    if not AXE.exists():
        pytest.skip("axe-core not found: npm install --prefix build/axe axe-core")
    browser.set_screen(width=width, height=844, dark=dark, touch=width < 500)
    browser.get(report.as_uri())
    assert browser.axe() == []
    # Nothing is wider than the window.
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(21, 20, 18)") == dark


def test_films_of_a_picture_share_one_player(browser: Browser, tmp_path: Path) -> None:
    """The language is switched with the keyboard; the time stays, and a paused video stays paused."""
    page = tmp_path / "runs/r1/report/index.html"
    page.parent.mkdir(parents=True)
    no_pictures = dict.fromkeys(("appearance_key", "motion_key", "poster_uri"))
    rows = family("en", "fr", notes="picture: extended by 0.40 s to fit the sound (hold)", **no_pictures)
    page.write_text(render_page("store", "r1", rows))
    for entry in rows:
        folder = tmp_path / "renders" / entry["render_key"]
        folder.mkdir(parents=True)
        about = VideoMetadata(run_id="r1", job_id=entry["job_id"])
        frames = (np.full((64, 64, 3), 5 * n, np.uint8) for n in range(50))
        encode(frames, folder / "full.mp4", rate=Fraction(25), size=(64, 64), metadata=about)
    browser.set_screen()
    browser.get(page.as_uri())
    browser.execute_script("document.querySelector('a.play').click()")
    browser.execute_script("const v = document.querySelector('video'); v.pause(); v.currentTime = 1.2")
    links = browser.find_elements(By.CSS_SELECTOR, "a.film")
    links[1].send_keys(Keys.ENTER)
    state = """const video = document.querySelector('video');
        const current = [...document.querySelectorAll('a.film[aria-current=true]')].map(link => link.textContent);
        const time = video.readyState > 1 && video.currentTime;
        return [video.src.split('/').at(-2), time, video.paused, document.querySelectorAll('video').length, current]"""
    expected = ["key-welcome.fr", 1.2, True, 1, ["fr"]]
    WebDriverWait(browser, 20).until(lambda _: browser.execute_script(state) == expected)
    browser.find_element(By.ID, "search").send_keys("welcome.fr")
    assert browser.find_element(By.ID, "count").text == "2 of 2 jobs"
    for width, dark in ((1280, True), (390, False)):
        browser.set_screen(width=width, height=844, dark=dark, touch=width < 500)
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
        assert not AXE.exists() or browser.axe() == []
    assert browser.console_messages() == []


def test_html_in_rows_is_escaped(browser: Browser, tmp_path: Path) -> None:
    rows = [made(f"j{n}", identity=NASTY, tags=[(NASTY, NASTY)], language=NASTY) for n in range(3)]
    for entry in rows:
        entry |= {"job_id": NASTY, "flagged": NASTY, "appearance_key": None, "motion_key": None, "render_key": None}
    (tmp_path / "page.html").write_text(render_page(NASTY, "r1", rows))
    browser.set_screen()
    browser.get((tmp_path / "page.html").as_uri())
    assert shown(browser) == [NASTY] * 3
    assert browser.execute_script("return document.scripts.length") == 1
    assert browser.console_messages() == []


def test_content_security_policy_blocks_scripts(browser: Browser, report: Path, tmp_path: Path) -> None:
    """The policy blocks scripts even if a value was not escaped."""
    text = report.read_text().replace("<main>", "<main><script>document.title = 'taken'</script><b onclick=0>x</b>")
    (tmp_path / "page.html").write_text(text)
    browser.get((tmp_path / "page.html").as_uri())
    assert browser.title == "Run r1 \u2013 troupe"
    assert any("Content Security Policy" in message for message in browser.console_messages())
