"""Filters of `troupe catalog ls` in the address of a page, under the same names as the options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import typer
from starlette.datastructures import QueryParams

from catalogs.query.filters import CatalogQuery
from flows.cli.parsing import parse_bound, parse_time
from troupe.errors import SettingsError

__all__ = ["FILTERS", "parse_filters", "query_of"]

_TEXTS = ("status", "identity", "driving", "language", "run", "error_kind", "picture")
_TIMES = ("since", "until")
_BOUNDS = {"min": "least", "max": "most"}
FILTERS = (*_TEXTS, "tag", *_TIMES, *_BOUNDS)
"""Names of parameters of an address; `tag`, `min` and `max` may be repeated."""


def parse_filters(parameters: QueryParams, base: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return filters as `catalogs.query.filters.CatalogQuery` takes them; other parameters are left alone.

    Args:
        parameters: of a page's address; empty ones do not filter.
        base: filters of the command line, which hold where the address does not say otherwise.

    Raises:
        SettingsError: a value is invalid; all problems are reported together.
    """
    problems: list[str] = []
    found: dict[str, Any] = {name: parameters[name] for name in _TEXTS if parameters.get(name)}
    if tags := tuple(filter(None, parameters.getlist("tag"))):
        found["tags"] = tags
    for name in _TIMES:
        if parameters.get(name):
            found[name] = _parsed(parse_time, parameters[name], problems)
    for name, filter_name in _BOUNDS.items():
        bounds = [_parsed(parse_bound, text, problems) for text in parameters.getlist(name) if text]
        if bounds:
            found[filter_name] = dict(bound for bound in bounds if bound is not None)
    if problems:
        raise SettingsError(f"{len(problems)} problems:", problems) if len(problems) > 1 else SettingsError(problems[0])
    filters = {**(base or {}), **found}
    CatalogQuery.of({name: value for name, value in filters.items() if name != "review"})
    return filters


def query_of(parameters: QueryParams, **changes: str | None) -> str:
    """Return the address's parameters with some changed, removed if None, as `?a=b`; empty if there are none."""
    kept = [(name, value) for name, value in parameters.multi_items() if name not in changes and value]
    changed = [(name, value) for name, value in changes.items() if value]
    return f"?{urlencode([*kept, *changed])}" if kept or changed else ""


def _parsed(parse: Callable[[str], Any], text: str, problems: list[str]) -> Any:
    try:
        return parse(text)
    except (typer.BadParameter, ValueError, OverflowError) as error:
        problems.append(getattr(error, "message", "") or str(error))
        return None
