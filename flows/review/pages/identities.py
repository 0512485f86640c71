"""Identities: everything of one person, and how to withdraw it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from catalogs.consent.permission import Permission
from catalogs.consent.register import list_permissions
from catalogs.query.listing import list_page
from catalogs.query.people import Person, find_person, list_people
from catalogs.retention.forget import is_forgotten
from flows.review.context import ReviewContext
from flows.review.pages.commands import command
from flows.review.pages.grid import cards_of
from flows.review.templates import render
from troupe.labels import label_key

__all__ = ["routes"]

PAGE = 60
SHOWN_CARDS = 12
SHOWN_DECISIONS = 50


def routes(context: ReviewContext) -> list[Route]:
    """Return the routes of the identities."""

    def find_all(request: Request) -> dict[str, Any]:
        search, after = (request.query_params.get(name, "") for name in ("search", "after"))
        permissions = _by_person(list_permissions(context.store))
        labels = [found[0].identity for found in permissions.values()]
        people, total, rest = list_people(context.index, labels, search=search, after=after, limit=PAGE)
        states = _states(context, people)
        return {
            "people": [(person, _permission(permissions.get(person.key, ())), states[person.key]) for person in people],
            "total": total,
            "search": search,
            "more": urlencode({"search": search, "after": rest}) if rest else "",
        }

    def find_one(label: str) -> dict[str, Any] | None:
        permissions = list_permissions(context.store, label) if label_key(label) else []
        person = find_person(context.index, label, [one.identity for one in permissions])
        if person is None:
            return None
        page = list_page(context.index, {"identity": label}, limit=SHOWN_CARDS, decisions=context.decisions)
        subjects = {*person.films, *filter(None, person.films.values())}
        decided = [decision for decision in context.decisions.all() if decision.key in subjects]
        now = datetime.now(UTC).date()
        return {
            "person": person,
            "states": _states(context, [person])[person.key],
            "permissions": [(one, one.state(now), _revocation(context, one)) for one in permissions],
            "forgotten": is_forgotten(context.store, label),
            "permit": command(context.store, "consent", "add", "REFERENCE", "--identity", person.label),
            "forget": command(context.store, "forget", "--identity", person.label),
            "check": command(context.store, "forget", "--identity", person.label, "--dry-run"),
            "cards": cards_of(context, page.rows),
            "all_jobs": urlencode({"identity": person.label}),
            "decisions": decided[::-1][:SHOWN_DECISIONS],
            "decided": len(decided),
        }

    async def list_page_of(request: Request) -> Response:
        return render(request, "identities.html", **await context.calls.run(find_all, request))

    async def person_page(request: Request) -> Response:
        found = await context.calls.run(find_one, request.query_params.get("label", ""))
        if found is None:
            raise HTTPException(404)
        return render(request, "identity.html", **found)

    return [Route("/identities", list_page_of), Route("/identity", person_page)]


def _by_person(permissions: Sequence[Permission]) -> dict[str, list[Permission]]:
    found: dict[str, list[Permission]] = {}
    for permission in permissions:
        if key := label_key(permission.identity):
            found.setdefault(key, []).append(permission)
    return found


def _permission(permissions: Sequence[Permission]) -> str:
    """Return the best state of a person's permissions; empty without one."""
    states = {permission.state() for permission in permissions}
    return next((state for state in ("valid", "not yet valid", "expired", "revoked") if state in states), "")


def _states(context: ReviewContext, people: Sequence[Person]) -> dict[str, Counter[str]]:
    """Return the number of films by state of review for each person."""
    films = {film: picture for person in people for film, picture in person.films.items()}
    found = context.decisions.of(list(films), list(films.values()))
    return {person.key: Counter(found[film].state for film in person.films) for person in people}


def _revocation(context: ReviewContext, permission: Permission) -> str:
    """Return the command that shows what revoking a permission would delete."""
    words = ("consent", "revoke", permission.reference, "--reason", "withdrawn by letter of ...", "--dry-run")
    return command(context.store, *words)
