"""What reviewers write: decisions, the list of reasons, and their name."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from catalogs.review.decisions import Decision
from catalogs.review.reasons import write_reasons
from flows.observe.prefect_events import emit_decision
from flows.review.context import ReviewContext
from flows.review.films import families_of, has_film
from flows.review.items import as_json, state_as_json
from troupe.errors import SettingsError

__all__ = ["routes"]

MAX_CLAIMS = 50
"""Claims that a page may renew at a time."""
_TEXTS = ("scope", "key", "kind", "reason", "comment", "undoes", "run_id", "job_id", "decision_id")


def routes(context: ReviewContext) -> list[Route]:
    """Return the routes of what is written."""

    def decide(form: dict[str, Any], reviewer: str, session: str) -> dict[str, Any]:
        decision = _decision(form, reviewer)
        if not has_film(context.index, decision.scope, decision.key):
            raise SettingsError(f"no finished render of the store has this {decision.scope}; it may have been deleted")
        if context.decisions.add(decision):
            emit_decision(context.store, decision)
        # The film on the page, of which a decision for its picture is part, too.
        film = str(form.get("film") or (decision.key if decision.scope == "film" else ""))
        picture = str(form.get("picture") or (decision.key if decision.scope == "picture" else ""))
        state = context.decisions.of([film], [picture or None])[film]
        history = context.decisions.history(film, picture or None)
        if context.claims is not None and is_decided(film, picture):
            context.claims.release(session, reviewer, picture or film)
        return {"review": state_as_json(state), "history": [as_json(decision) for decision in history]}

    def is_decided(film: str, picture: str) -> bool:
        """Return whether no film of the picture is left to decide."""
        films = [row["render_key"] for row in families_of(context.index, {picture} - {""}).get(picture, [])] or [film]
        states = context.decisions.of(films, [picture or None] * len(films))
        return all(state.state != "pending" for state in states.values())

    async def claims(request: Request) -> Response:
        wanted = request.state.form.get("items")
        if context.claims is None or not isinstance(wanted, list) or not all(isinstance(key, str) for key in wanted):
            raise SettingsError("items must be a list of texts, and reviewers be given different items (--claim)")
        reviewer = request.state.reviewer or context.reviewer
        kept = await context.calls.run(context.claims.renew, request.state.session, reviewer, wanted[:MAX_CLAIMS])
        return JSONResponse({"items": kept})

    async def decisions(request: Request) -> Response:
        reviewer = request.state.reviewer or context.reviewer
        return JSONResponse(await context.calls.run(decide, request.state.form, reviewer, request.state.session))

    async def reasons(request: Request) -> Response:
        wanted = request.state.form.get("reasons")
        if not isinstance(wanted, list):
            raise SettingsError("reasons must be a list of texts")
        return JSONResponse({"reasons": await context.calls.run(write_reasons, context.store, wanted)})

    async def reviewer(request: Request) -> Response:
        name = " ".join(str(request.state.form.get("name", "")).split())
        if not 0 < len(name) <= 100 or not name.isprintable():
            raise SettingsError("a reviewer's name has 1 to 100 characters")
        response = JSONResponse({"reviewer": name})
        cookie = f"{request.state.cookie}_reviewer"
        response.set_cookie(cookie, urlencode({"name": name}), httponly=True, samesite="strict", max_age=10**7)
        return response

    return [
        Route("/api/decisions", decisions, methods=["POST"]),
        Route("/api/claims", claims, methods=["POST"]),
        Route("/api/reasons", reasons, methods=["POST"]),
        Route("/api/reviewer", reviewer, methods=["POST"]),
    ]


def _decision(form: dict[str, Any], reviewer: str) -> Decision:
    """Return the decision that a form describes."""
    values: dict[str, Any] = {name: form[name] for name in _TEXTS if form.get(name) is not None}
    for name, value in values.items():
        if not isinstance(value, str):
            raise SettingsError(f"{name} must be text")
    if isinstance(time := form.get("time_seconds"), int | float) and not isinstance(time, bool):
        values["time_seconds"] = float(time)
    missing = [name for name in ("scope", "key", "kind") if name not in values]
    if missing:
        raise SettingsError(f"a decision needs {', '.join(missing)}")
    return Decision(reviewer=reviewer, **values)
