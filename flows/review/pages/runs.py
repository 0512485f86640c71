"""Runs: a list of them, and the progress of one as it happens, by server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from catalogs.query.run_progress import RunProgress
from catalogs.store.uris import redacted_text
from catalogs.table.runs import HEARTBEAT_SECONDS, RunInfo, list_runs_page
from flows.review.context import ReviewContext
from flows.review.live import RunFeeds, read_progress
from flows.review.pages.commands import command
from flows.review.templates import render

__all__ = ["routes"]

PAGE = 50
"""Runs per page."""
STATUSES = ("done", "reused", "failed", "cancelled")
LATE_SECONDS = 1.5 * HEARTBEAT_SECONDS
"""Time without a heartbeat after which a page says so."""


def routes(context: ReviewContext) -> list[Route]:
    """Return the routes of the runs."""
    feeds = RunFeeds(context)

    async def list_page(request: Request) -> Response:
        after = request.query_params.get("after", "")
        found = await context.calls.run(list_runs_page, context.store, PAGE, after)
        more = urlencode({"after": found.after}) if found.after else ""
        return render(
            request, "runs.html", runs=list(map(_listed, found.runs)), after=after, more=more, left=found.left
        )

    async def run_page(request: Request) -> Response:
        run_id = request.path_params["run_id"]
        progress = await context.calls.run(read_progress, context, run_id)
        if progress is None:
            raise HTTPException(404)
        settings = [
            (name.replace("_", " "), _text(value))
            for name, value in sorted(progress.run.request.items())
            if value not in (None, "", {}, [])
        ]
        values = progress_values(progress)
        return render(
            request,
            "run.html",
            progress=values,
            data=json.dumps(values),
            statuses=STATUSES,
            settings=settings,
            retry=command(context.store, "retry", run_id),
        )

    async def events(request: Request) -> Response:
        stream = _stream(feeds, request.path_params["run_id"])
        return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    return [Route("/runs", list_page), Route("/runs/{run_id}", run_page), Route("/runs/{run_id}/events", events)]


def progress_values(progress: RunProgress) -> dict[str, Any]:
    """Return a run's progress as JSON values."""
    run = progress.run
    return {
        "run": run.run_id,
        "state": run.state,
        "note": run.note,
        "where": run.where,
        "started": run.started_at.isoformat(),
        "updated": run.updated_at.isoformat(),
        "lateAfter": LATE_SECONDS,
        "jobs": run.jobs,
        "ended": sum(run.counts.values()),
        "waiting": progress.waiting,
        "counts": dict(run.counts),
        "jobsPerMinute": progress.jobs_per_minute,
        "framesPerSecond": progress.frames_per_second,
        "secondsLeft": progress.seconds_left,
        "failedKinds": progress.failed,
        "failures": [
            {
                "job": failure["job_id"],
                "kind": failure["error_kind"] or "",
                "error": failure["error"] or "",
                "at": failure["finished_at"].isoformat() if failure["finished_at"] else "",
            }
            for failure in progress.failures
        ],
    }


async def _stream(feeds: RunFeeds, run_id: str) -> AsyncIterator[str]:
    """Yield server-sent events: `progress`, `unavailable`, and comments that keep the connection open."""
    yield "retry: 2000\n\n"
    async with aclosing(feeds.follow(run_id)) as changes:
        async for latest in changes:
            if latest is None:
                yield ": nothing new\n\n"
            elif isinstance(latest, RunProgress):
                # The server's time, from which the page counts on, whatever its own clock says.
                values = progress_values(latest) | {"now": datetime.now(UTC).isoformat()}
                yield f"event: progress\ndata: {json.dumps(values)}\n\n"
            else:
                yield f"event: unavailable\ndata: {json.dumps(redacted_text(latest))}\n\n"


def _listed(run: RunInfo) -> dict[str, Any]:
    """Return what the list shows of a run."""
    ended = sum(run.counts.values())
    return {
        "run_id": run.run_id,
        "state": run.state,
        "started": run.started_at.isoformat(),
        "updated": run.updated_at.isoformat(),
        "jobs": run.jobs,
        "ended": ended,
        "counts": [(status, run.counts.get(status, 0)) for status in STATUSES if run.counts.get(status)],
        "where": run.where,
        "note": run.note,
    }


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_text(inner)}" for name, inner in value.items() if inner is not None)
    return ", ".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)
