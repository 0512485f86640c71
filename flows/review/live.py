"""Progress of runs, read by one reader per run for all browsers that show it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from catalogs.query.run_progress import RunProgress, run_progress
from catalogs.table.runs import find_run
from flows.review.context import ReviewContext
from troupe.errors import TroupeError

__all__ = ["RunFeeds", "read_progress"]

INTERVAL = 0.5
"""Seconds between two looks at a live run."""
ENDED_INTERVAL = 5.0
"""Seconds between two looks at a run that ended: it may be resumed."""
SILENCE = 15.0
"""Seconds after which a browser is told that there is nothing new, so that broken connections are noticed."""


def read_progress(context: ReviewContext, run_id: str) -> RunProgress | None:
    """Return a run's progress; None if there is no such run.

    Raises:
        SettingsError: the run_id is invalid.
        StoreError: the store cannot be read.
    """
    run = find_run(context.store, run_id)
    return None if run is None else run_progress(context.index, run)


@dataclass
class _Feed:
    """What was last read of a run, and the task that reads it."""

    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    latest: RunProgress | str | None = None
    number: int = 0
    followers: int = 0
    reader: asyncio.Task[None] | None = None


class RunFeeds:
    """Follows runs; of each there is one reader, while anybody follows it.

    Args:
        context: what the pages share.
        interval: seconds between two looks at a live run.
    """

    def __init__(self, context: ReviewContext, interval: float = INTERVAL) -> None:
        self._context, self._interval = context, interval
        self._feeds: dict[str, _Feed] = {}

    async def follow(self, run_id: str) -> AsyncGenerator[RunProgress | str | None, None]:
        """Yield the run's progress whenever it changes.

        Yields:
            The progress; text that says why it cannot be read; None if nothing has changed for a while.
        """
        feed = self._feeds.setdefault(run_id, _Feed())
        feed.followers += 1
        if feed.reader is None:
            feed.reader = asyncio.create_task(self._read(run_id, feed))
        seen = 0
        try:
            while True:
                try:
                    async with asyncio.timeout(SILENCE), feed.changed:
                        while feed.number == seen:
                            await feed.changed.wait()
                        seen, latest = feed.number, feed.latest
                except TimeoutError:
                    latest = None
                    if feed.reader.done():
                        feed.reader.result()  # raises what ended it
                yield latest
        finally:
            feed.followers -= 1
            if not feed.followers:
                feed.reader.cancel()
                self._feeds.pop(run_id, None)

    async def _read(self, run_id: str, feed: _Feed) -> None:
        while True:
            latest: RunProgress | str
            try:
                latest = await self._context.calls.run(read_progress, self._context, run_id) or "the run does not exist"
            except TroupeError as error:
                latest = str(error)
            if latest != feed.latest:
                async with feed.changed:
                    feed.latest, feed.number = latest, feed.number + 1
                    feed.changed.notify_all()
            ended = isinstance(latest, RunProgress) and not latest.run.live
            await asyncio.sleep(ENDED_INTERVAL if ended else self._interval)
