"""The review application: routes, errors, static files."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from catalogs.store.uris import redacted_text
from flows.review import media
from flows.review.context import ReviewContext
from flows.review.pages import decide, grid, identities, job, queue, runs
from flows.review.pages.messages import message_page
from flows.review.security import Guard
from flows.server.proxy import LOOPBACK
from troupe.errors import SettingsError, TroupeError

__all__ = ["make_app"]

_PAGES = (queue, job, grid, runs, identities, decide)
"""Modules with `routes(context)`."""


def make_app(
    context: ReviewContext,
    hosts: Iterable[str] = LOOPBACK,
    *,
    any_address: bool = False,
    cookie: str = "troupe",
) -> ASGIApp:
    """Return the application.

    Args:
        context: what its pages share.
        hosts, any_address, cookie: as `flows.review.security.Guard` takes them.
    """
    static = Mount("/static", StaticFiles(directory=str(files("flows.review") / "static")))
    player = Route("/static/player.js", _player)
    pages = [route for page in _PAGES for route in page.routes(context)]
    app = Starlette(
        routes=[*pages, *media.routes(context.media, context.calls), player, static],
        exception_handlers={HTTPException: _on_http_error, TroupeError: _on_error, Exception: _on_bug},
    )
    # Around all of the application, so that its error pages are guarded too.
    return Guard(app, context.secrets, hosts, any_address=any_address, cookie=cookie)


async def _player(_: Request) -> Response:
    """Return the script that the report shares."""
    return FileResponse(str(files("catalogs.report") / "player.js"), media_type="text/javascript")


async def _on_http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return message_page(request, status, "Not found" if status == 404 else "Not allowed", "There is no such page.")


async def _on_error(request: Request, error: Exception) -> Response:
    text = redacted_text(str(error))
    if isinstance(error, SettingsError):
        return message_page(request, 400, "Not possible", text)
    return message_page(request, 503, "The store does not answer", text, retry=True)


async def _on_bug(request: Request, _: Exception) -> Response:
    return message_page(request, 500, "Internal error", "The terminal of `troupe review` shows what failed.")
