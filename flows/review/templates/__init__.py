"""Templates of the pages, and how they are filled in."""

from __future__ import annotations

import json
from typing import Any

import jinja2
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from flows.cli.console import human_size
from troupe import __version__

__all__ = ["NAVIGATION", "render"]

NAVIGATION = [("/", "Queue"), ("/grid", "Grid"), ("/runs", "Runs"), ("/identities", "Identities")]
"""Path and name of the pages that every page links to."""

_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("flows.review", "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page.

    Args:
        request: request that is answered.
        template: name of a file beside this module, which extends `base.html`.
        status: HTTP status.
        values: variables of the template.
    """
    page = _templates.get_template(template).render(
        request=request, navigation=NAVIGATION, version=__version__, **{**request.scope["state"], **values}
    )
    return HTMLResponse(page, status)


def _code(text: str) -> Markup:
    """Mark up what is between backquotes as code."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts))


def _duration(seconds: float | None) -> str:
    """Format seconds for people: `8.0 s`, `4 min 5 s`, `3 h 20 min`."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _cell(value: Any, column: str = "") -> str:
    """Format the value of a column for people: sizes, durations and lists."""
    if column.endswith("bytes"):
        return human_size(value)
    if isinstance(value, float):
        return f"{value:.4g} s" if column.startswith("seconds") or column.endswith("seconds") else f"{value:.4g}"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


_templates.filters |= {"code": _code, "duration": _duration, "cell": _cell}
