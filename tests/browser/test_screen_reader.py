"""What a screen reader is told, from the browser's accessibility tree: names, announcements, order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.browser.conftest import Browser
from tests.browser.test_review_queue import SETTLED, Reviewer, media, serving
from tests.flows.review.conftest import review_of
from tests.flows.review.stores import film, review_store

__all__ = ["media"]

CONTROLS = {"button", "link", "textbox", "combobox", "slider", "checkbox", "spinbutton", "searchbox", "switch"}
SAID = "[...document.querySelectorAll('[role=status], [role=alert], [aria-live]')].map(e => e.textContent).join()"
ORDER = """return [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')]
    .filter(e => e.tabIndex >= 0 && !e.disabled && e.checkVisibility())
    .map(e => e.tabIndex > 0 ? 'moved' : e.id || e.dataset.key || e.getAttribute('href') || e.tagName)"""
"""Names of what the Tab key reaches, in its order, which is that of the page unless an element is moved."""


def test_every_control_has_a_name_and_decisions_are_announced(browser: Browser, tmp_path: Path, media: Path) -> None:
    store = review_store(tmp_path / "store", media, [film(0, "en"), film(0, "fr"), film(1), film(2)], failed=1)
    with serving(review_of(store)) as address:
        reviewer = Reviewer(browser, address)
        base = address.partition("?")[0]
        for path in ("grid", "runs", "identities", "identity?label=Person%200", "job?run=r1&job=job-001", ""):
            browser.get(f"{base}{path}")
            if path in ("", "job?run=r1&job=job-001"):
                reviewer.wait(SETTLED)
            tree = _tree(browser)
            assert [node for node in tree if node[0] in CONTROLS and not node[1]] == [], path
            assert [name for role, name in tree if role in ("image", "img") and not name] == [], path
            assert {"main", "navigation"} <= {role for role, _ in tree}, path
            assert any(role == "heading" for role, _ in tree), path
        job = reviewer.job
        assert job in browser.execute_script(f"return {SAID}"), "what is shown is announced"
        reviewer.press("a")
        reviewer.wait(f"return {SAID}.includes('Approved {job}')")
        reviewer.press("r")
        reviewer.wait(f"return {SAID}.includes('Choose a reason')")
        order = browser.execute_script(ORDER)
        # As they are read: the pages, what is shown, the playback, the verdict, further items.
        places = [
            order.index(name)
            for name in ("/grid", "help-button", "play", "scrub", "a", "reject", "comment-button", "j")
        ]
        assert places == sorted(places)
        assert "moved" not in order


def _tree(browser: Browser) -> list[tuple[str, str]]:
    """Return role and name of what a screen reader sees."""
    nodes: list[dict[str, Any]] = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    return [
        (node["role"]["value"], node.get("name", {}).get("value", "").strip())
        for node in nodes
        if not node["ignored"] and "role" in node
    ]
