"""Fifty renders of the miniature are decided by keyboard alone, and the catalog says the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalogs.query.catalog import Catalog
from catalogs.store.store import open_store
from flows.local import animate_locally
from models.miniature import FIRST_HELD_OUT_SEED, SHIPPED_WEIGHTS
from tasks.run.request import Request
from tests.browser.conftest import Browser
from tests.browser.test_review_queue import PLAYING, Reviewer, serving
from tests.flows.cast import write_clip, write_portrait
from tests.flows.jobs import write_jobs
from tests.flows.review.conftest import review_of

PORTRAITS, CLIPS, FRAMES = 10, 5, 5
EVERY_REJECTED = 3


@pytest.mark.slow
def test_fifty_renders(browser: Browser, tmp_path: Path) -> None:
    for number in range(PORTRAITS):
        write_portrait(tmp_path / f"{number}.png", FIRST_HELD_OUT_SEED + number)
    for number in range(CLIPS):
        write_clip(tmp_path / f"{number}.mp4", frames=FRAMES + number, rate="25")
    jobs = ({"portrait": f"{p}.png", "driving": f"{c}.mp4"} for p in range(PORTRAITS) for c in range(CLIPS))
    write_jobs(tmp_path / "jobs.csv", tuple(job | {"job_id": f"job-{n:02d}"} for n, job in enumerate(jobs)))
    store, count = str(tmp_path / "store"), PORTRAITS * CLIPS
    defaults = {"preset": "sketch"}
    summary = animate_locally(
        Request(
            store=store, weights=str(SHIPPED_WEIGHTS), jobs=str(tmp_path / "jobs.csv"), run_id="r1", defaults=defaults
        )
    )
    assert summary.counts == {"done": count}
    expected: dict[str, str] = {}
    with serving(review_of(open_store(store), tmp_path)) as address:
        reviewer = Reviewer(browser, address)
        for place in range(count):
            job, rejects = reviewer.job, place % EVERY_REJECTED == 2
            reviewer.wait(PLAYING)
            reviewer.press(*("r", "2") if rejects else "a")
            expected[job] = "rejected" if rejects else "approved"
            reviewer.until(lambda job=job, place=place: reviewer.job != job or place == count - 1)  # type: ignore[misc]
        reviewer.wait("return !document.getElementById('finished').hidden")
        reviewer.press("u")
        reviewer.until(lambda: reviewer.job == job)
        reviewer.wait(PLAYING)
        reviewer.press("c", "looks away", "\ue007")
        reviewer.wait("return document.getElementById('history').textContent.includes('looks away')")
        assert browser.console_messages() == []
    expected[job] = "pending"
    rows = Catalog(open_store(store)).jobs(columns=["job_id", "review", "review_reason"]).to_pylist()
    assert {row["job_id"]: row["review"] for row in rows} == expected
    assert len({row["review_reason"] for row in rows if row["review"] == "rejected"}) == 1
