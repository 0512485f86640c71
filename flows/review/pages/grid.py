"""The grid: thumbnails of all jobs that match filters, in any order, page after page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from catalogs.query.listing import MEASURES, ORDERS, list_page
from catalogs.review.decision import REVIEW_STATES, SCOPES
from catalogs.review.reasons import read_reasons
from catalogs.table.schema import EITHER_SIGN, QUALITIES, STATUSES
from flows.review.context import ReviewContext
from flows.review.films import files_of
from flows.review.filters import FILTERS, parse_filters
from flows.review.templates import render
from troupe.errors import SettingsError

__all__ = ["cards_of", "routes"]

PAGE = 60
"""Cards per page."""


def routes(context: ReviewContext) -> list[Route]:
    """Return the routes of the grid."""

    def find(request: Request) -> dict[str, Any]:
        parameters = request.query_params
        order, review = _one_of(request, "order", ORDERS), _one_of(request, "review", ("", *REVIEW_STATES))
        page = list_page(
            context.index,
            parse_filters(parameters, context.filters),
            order=order,
            after=parameters.get("after", ""),
            limit=PAGE,
            decisions=context.decisions,
            review=review,
        )
        kept = [(name, value) for name, value in parameters.multi_items() if value and name != "after"]
        return {
            "cards": cards_of(context, page.rows, order),
            "total": page.total,
            "scope": _one_of(request, "scope", SCOPES),
            "here": urlencode([*kept, ("after", parameters.get("after", ""))]),
            "more": urlencode([*kept, ("after", page.after)]) if page.after else "",
        }

    async def page(request: Request) -> Response:
        found = await context.calls.run(find, request)
        chosen = request.query_params
        return render(
            request,
            "grid.html",
            **found,
            orders=ORDERS,
            measures=MEASURES,
            statuses=STATUSES,
            states=REVIEW_STATES,
            chosen=chosen,
            base=[(name, str(value)) for name, value in context.filters.items()],
            narrowed=any(chosen.get(name) for name in FILTERS if name not in ("status", "identity", "language")),
            reasons=await context.calls.run(read_reasons, context.store),
            reviewer=request.state.reviewer or context.reviewer,
        )

    async def cards(request: Request) -> Response:
        return render(request, "_cards.html", **await context.calls.run(find, request))

    return [Route("/grid", page), Route("/grid/cards", cards)]


def cards_of(context: ReviewContext, rows: list[dict[str, Any]], order: str = "newest") -> list[dict[str, Any]]:
    """Return what the cards of rows show.

    Args:
        context: what the pages share.
        rows: rows of a `JobPage`.
        order: order of the page; a measure is shown on its cards.
    """
    return [_card(context, row, order if order in MEASURES else "identity") for row in rows]


def _card(context: ReviewContext, row: Mapping[str, Any], measure: str) -> dict[str, Any]:
    review = row["review"]
    files = files_of(row)
    value = row.get(f"quality_{measure}" if measure in QUALITIES else measure)
    return {
        "run": row["run_id"],
        "job": row["job_id"],
        "link": urlencode({"run": row["run_id"], "job": row["job_id"]}),
        "key": row["render_key"] if review else "",
        "picture": (row["picture_key"] or "") if review else "",
        "status": row["status"],
        "state": review.state if review else "",
        "reason": review.decision.reason if review and review.decision else "",
        "identity": row["identity"] or "",
        "language": row["language"] or "",
        "error": row["error"] or "",
        "flagged": row["flagged"] or "",
        "seconds": row["seconds"],
        "measure": measure.replace("_", " "),
        "value": "" if value is None else f"{value:+d}" if measure in EITHER_SIGN else f"{value:.3g}",
        "poster": context.media.poster(files) if review else "",
        "video": context.media.video(files) if review else "",
    }


def _one_of(request: Request, name: str, known: tuple[str, ...]) -> str:
    """Return a parameter of the address; the first known value is the default."""
    value = request.query_params.get(name) or known[0]
    if value not in known:
        raise SettingsError(f"unknown {name} {value!r}; use one of {', '.join(filter(None, known))}")
    return value
