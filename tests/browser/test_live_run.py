"""The page of a run on Ray in a browser: progress is right within 2 s, and a killed run is said to have crashed."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest

from catalogs.store.store import open_store
from catalogs.table.runs import HEARTBEAT_SECONDS
from tests.browser.conftest import Browser
from tests.browser.test_review_pages import opened
from tests.browser.test_review_queue import serving
from tests.faults.harness.workspace import prepare, records, wait_until
from tests.flows.review.conftest import review_of

MOST_SECONDS = 2.0
WATCHED = 8
"""Jobs after which the run is killed."""
SHOWN = "return [Number(document.getElementById('ended').textContent), document.getElementById('state').textContent]"


@pytest.mark.slow
def test_a_run_that_is_killed(browser: Browser) -> None:
    # A folder whose path is short enough for the names of Ray's sockets.
    with tempfile.TemporaryDirectory(prefix="tr-") as name:
        folder = Path(name)
        workspace = prepare(folder / "w", portraits=4, clips=4)
        root, log = folder / "store", folder / "log"
        run = workspace.start(str(root), "r1", log)
        try:
            assert wait_until((root / "runs/r1/run.json").exists, 200, run), log.read_text()
            with serving(review_of(open_store(str(root)))) as address:
                page = opened(browser, address, "runs/r1")
                published, shown = list[float](), list[float]()
                until = time.monotonic() + 250
                while len(shown) < WATCHED and time.monotonic() < until:
                    # First the page, so that what it cannot know yet is not counted as late.
                    ended, _ = page.execute_script(SHOWN)
                    now = time.monotonic()
                    shown.extend([now] * (ended - len(shown)))
                    published.extend([now] * (len(records(root)) - len(published)))
                    time.sleep(0.02)
                run.kill()
                killed = time.monotonic()
                while page.execute_script(SHOWN)[1] != "crashed" and time.monotonic() < killed + 60:
                    time.sleep(0.02)
                crashed = time.monotonic() - killed
        finally:
            run.kill()
            run.wait()
            for process in workspace.processes():
                process.kill()
    lags = [after - before for before, after in zip(published, shown, strict=False)]
    print(f"the page had {len(lags)} jobs after {max(lags):.2f} s at most, and the kill after {crashed:.2f} s")
    assert len(lags) >= WATCHED
    assert max(lags) <= MOST_SECONDS
    assert crashed <= HEARTBEAT_SECONDS
