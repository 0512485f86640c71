"""A run on Ray that is watched: its progress is right within 2 s, and it is said to have crashed when it is killed."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from catalogs.query.run_progress import RunProgress
from catalogs.store.store import open_store
from flows.review.live import RunFeeds
from tests.faults.harness.workspace import prepare, records, wait_until
from tests.flows.review.conftest import review_of

MOST_SECONDS = 2.0
WATCHED = 8
"""Jobs after which the run is killed."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for the names of Ray's sockets."""
    with tempfile.TemporaryDirectory(prefix="tr-") as name:
        yield Path(name)


@pytest.mark.slow
def test_a_run_that_is_killed(folder: Path) -> None:
    workspace = prepare(folder / "w", portraits=4, clips=4)
    root, log = folder / "store", folder / "log"
    run = workspace.start(str(root), "r1", log)
    try:
        assert wait_until((root / "runs/r1/run.json").exists, 200, run), log.read_text()
        lags, crashed = asyncio.run(_watch(root, run.kill))
    finally:
        run.kill()
        run.wait()
        for process in workspace.processes():
            process.kill()
    print(f"progress after {max(lags):.2f} s at most, the kill after {crashed:.2f} s")
    assert len(lags) >= WATCHED
    assert max(lags) <= MOST_SECONDS
    assert crashed <= MOST_SECONDS


async def _watch(root: Path, kill: object) -> tuple[list[float], float]:
    """Return how long after each render the progress had it, and how long after the kill it said so."""
    feeds = RunFeeds(review_of(open_store(str(root))).context)
    published: list[float] = []
    shown: list[float] = []

    async def look() -> None:
        while True:
            count = len(records(root))
            published.extend([time.monotonic()] * (count - len(published)))
            await asyncio.sleep(0.05)

    looking = asyncio.create_task(look())
    async with aclosing(feeds.follow("r1")) as changes, asyncio.timeout(250):
        async for latest in changes:
            if not isinstance(latest, RunProgress):
                continue
            ended = sum(latest.run.counts.values())
            shown.extend([time.monotonic()] * (ended - len(shown)))
            if ended >= WATCHED:
                break
        looking.cancel()
        assert callable(kill)
        kill()
        killed = time.monotonic()
        async for latest in changes:
            if isinstance(latest, RunProgress) and latest.run.state == "crashed":
                break
    lags = [after - before for before, after in zip(published, shown, strict=False)]
    return lags, time.monotonic() - killed
