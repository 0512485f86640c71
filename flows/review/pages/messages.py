"""Page that says why something was not done; JSON for scripts."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flows.review.templates import render

__all__ = ["message_page", "wants_json"]


def wants_json(request: Request) -> bool:
    """Return whether a script asks, rather than a person."""
    return request.headers.get("accept", "").startswith("application/json")


def message_page(request: Request, status: int, title: str, text: str, *, retry: bool = False) -> Response:
    """Return an answer that says what is wrong and what to do.

    Args:
        request: request that is answered.
        status: HTTP status.
        title: what is wrong, in a few words.
        text: what to do; text between backquotes is shown as code.
        retry: whether trying again may help.
    """
    if wants_json(request):
        return JSONResponse({"error": f"{title}: {text}", "retry": retry}, status)
    return render(request, "message.html", status=status, title=title, text=text, retry=retry)
