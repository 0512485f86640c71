"""Live progress: from a run's records as the run writes them, by one reader for all browsers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from catalogs.query.run_progress import RunProgress
from catalogs.store.store import Store
from catalogs.table.runs import RunInfo, write_run
from flows.review import ReviewContext, live
from flows.review.live import RunFeeds, read_progress
from tests.catalogs.conftest import record, row
from tests.flows.review.conftest import Review
from troupe.errors import NoFace, StoreError
from troupe.process.log_context import process_name


def write(store: Store, state: Any = "running", **changes: Any) -> None:
    """Write a run's record, as its heartbeat does."""
    now = datetime.now(UTC)
    write_run(store, RunInfo("r9", state, now, now, **{"jobs": 4, "where": process_name(), **changes}))


async def until(
    changes: AsyncGenerator[RunProgress | str | None, None], wanted: Callable[[Any], bool], seconds: float = 10
) -> Any:
    """Return the first change that is wanted."""
    async with asyncio.timeout(seconds):
        async for latest in changes:
            if wanted(latest):
                return latest
    raise AssertionError("the feed has ended")


def test_changes_arrive_as_they_are_written(review: Review) -> None:
    context, store = review.context, review.context.store

    async def follow() -> None:
        write(store)
        async with aclosing(RunFeeds(context, interval=0.01).follow("r9")) as changes:
            first = await until(changes, lambda latest: isinstance(latest, RunProgress))
            assert (first.run.state, first.waiting) == ("running", 4)
            write(store, counts={"done": 2, "failed": 1})
            second = await until(changes, lambda latest: latest.run.counts.get("done") == 2, seconds=2)
            assert second.waiting == 1
            failed = row("r9", "bad", "failed", error=NoFace("no face"))
            await asyncio.to_thread(record, store, "r9", [failed])
            third = await until(changes, lambda latest: latest.failures)
            assert third.failures[0]["error"] == "no face"
            write(store, "completed", counts={"done": 3, "failed": 1}, note="done")
            last = await until(changes, lambda latest: latest.run.state == "completed", seconds=2)
            assert last.run.note == "done"

    asyncio.run(follow())


def test_a_killed_run_is_known_at_once(review: Review) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    write(review.context.store, where=f"{process_name().rpartition(':')[0]}:{child.pid}")
    found = read_progress(review.context, "r9")
    assert found is not None
    assert found.run.state == "running"
    child.kill()  # and not waited for: it is a zombie until its parent looks
    for _ in range(100):
        found = read_progress(review.context, "r9")
        assert found is not None
        if found.run.state == "crashed":
            break
    assert found.run.state == "crashed"
    assert str(child.pid) in found.run.note
    child.communicate()
    assert read_progress(review.context, "r9") == found


def test_one_reader_for_all(review: Review, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []

    def counted(context: ReviewContext, run_id: str) -> RunProgress | None:
        reads.append(run_id)
        return read_progress(context, run_id)

    monkeypatch.setattr(live, "read_progress", counted)
    write(review.context.store)

    async def follow() -> None:
        feeds = RunFeeds(review.context, interval=60)
        followers = [feeds.follow("r9") for _ in range(20)]
        for follower in followers:
            assert isinstance(await anext(follower), RunProgress)
        assert len(reads) == 1
        for follower in followers:
            await follower.aclose()
        assert not feeds._feeds
        assert isinstance(await anext(feeds.follow("r9")), RunProgress)
        assert len(reads) == 2

    asyncio.run(follow())


def test_a_store_that_is_gone_and_comes_back(review: Review, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = [True]

    def sometimes(context: ReviewContext, run_id: str) -> RunProgress | None:
        if gone[0]:
            raise StoreError("the store is away")
        return read_progress(context, run_id)

    monkeypatch.setattr(live, "read_progress", sometimes)
    write(review.context.store)

    async def follow() -> None:
        async with aclosing(RunFeeds(review.context, interval=0.01).follow("r9")) as changes:
            assert await anext(changes) == "the store is away"
            gone[0] = False
            assert isinstance(await anext(changes), RunProgress)

    asyncio.run(follow())


def test_no_such_run(review: Review, tmp_path: Path) -> None:
    assert read_progress(review.context, "nothing") is None

    async def follow() -> None:
        async with aclosing(RunFeeds(review.context).follow("nothing")) as changes:
            assert await anext(changes) == "the run does not exist"

    asyncio.run(follow())
