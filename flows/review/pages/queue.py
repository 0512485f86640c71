"""The queue: one render after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from catalogs.query.listing import ORDERS, list_page
from catalogs.query.lookup import find_jobs
from catalogs.review.decision import REVIEW_STATES, SCOPES
from catalogs.review.reasons import read_reasons
from flows.review.claiming import subject
from flows.review.context import ReviewContext
from flows.review.films import count_films
from flows.review.filters import parse_filters
from flows.review.items import Items
from flows.review.templates import render
from troupe.errors import SettingsError

__all__ = ["routes"]

PAGE = 6
"""Items that a script fetches at a time."""
MAX_PAGES = 50
"""Pages of items of others that are passed over at a time."""
STATES = (*REVIEW_STATES, "all")


def routes(context: ReviewContext) -> list[Route]:
    """Return the routes of the queue."""
    items = Items(context)

    def find(request: Request) -> dict[str, Any]:
        parameters = request.query_params
        filters = parse_filters(parameters, context.filters)
        state, scope, order = _settings(request, context)
        rows: list[dict[str, Any]] = []
        after = parameters.get("after", "")
        for _ in range(MAX_PAGES):
            page = list_page(
                context.index,
                filters,
                order=order,
                after=after,
                limit=PAGE,
                decisions=context.decisions,
                review="" if state == "all" else state,
            )
            rows, after = claimed(request, page.rows) if state == "pending" else page.rows, page.after
            if rows or not after:
                break
        found = items.of(find_jobs(context.index, [(row["run_id"], row["job_id"]) for row in rows]))
        # The script counts on from those of the first page.
        first = not parameters.get("after")
        counts = (
            count_films(context.index, filters, context.decisions, by_picture=scope == "picture") if first else None
        )
        return {"items": found, "counts": counts, "after": after}

    def claimed(request: Request, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows that nobody else looks at, if reviewers are given different ones."""
        if context.claims is None:
            return rows
        state = request.state
        mine = context.claims.claim(state.session, state.reviewer or context.reviewer, map(subject, rows))
        return [row for row in rows if subject(row) in mine]

    async def page(request: Request) -> Response:
        state, scope, order = _settings(request, context)
        parse_filters(request.query_params, context.filters)
        reasons = await context.calls.run(read_reasons, context.store)
        return render(
            request,
            "queue.html",
            config={
                "mode": "queue",
                "state": state,
                "scope": scope,
                "reasons": reasons,
                "claim": context.claims is not None and state == "pending",
            },
            states=STATES,
            orders=ORDERS,
            order=order,
            reviewer=request.state.reviewer or context.reviewer,
        )

    async def page_of_items(request: Request) -> Response:
        return JSONResponse(await context.calls.run(find, request))

    return [Route("/", page), Route("/api/queue", page_of_items)]


def _settings(request: Request, context: ReviewContext) -> tuple[str, str, str]:
    """Return state, by default that of `--review`, scope and order."""
    return (
        _one_of(request, "state", STATES, context.filters.get("review")),
        _one_of(request, "scope", SCOPES),
        _one_of(request, "order", ORDERS),
    )


def _one_of(request: Request, name: str, known: Sequence[str], default: str | None = None) -> str:
    """Return a parameter of the address; without a default the first known value is it."""
    value = request.query_params.get(name) or default or known[0]
    if value not in known:
        raise SettingsError(f"unknown {name} {value!r}; use one of {', '.join(known)}")
    return value
