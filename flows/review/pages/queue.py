"""The queue: one render after the other."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from flows.review.context import ReviewContext
from flows.review.templates import render

__all__ = ["routes"]


def routes(context: ReviewContext) -> list[Route]:
    """Return the routes of the queue."""

    async def page(request: Request) -> Response:
        rows = await context.calls.run(context.catalog.jobs, limit=50, **context.filters)
        return render(request, "queue.html", rows=rows.to_pylist())

    return [Route("/", page)]
