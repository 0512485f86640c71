"""Parsers of options' values: seconds, times, versions and bounds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import typer

__all__ = ["parse_bound", "parse_duration", "parse_seconds", "parse_time", "parse_version_or_time"]


def parse_seconds(text: str) -> float:
    """Parse `2`, `2.5` or `2s`."""
    return _seconds(text.removesuffix("s"), 1.0, f"invalid number of seconds {text!r}; use for example 2s")


def parse_duration(text: str) -> float:
    """Parse `30`, `30s`, `90m` or `8h` to seconds."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    unit = text[-1:] if text[-1:] in units else ""
    invalid = f"invalid duration {text!r}; use for example 90m or 8h"
    return _seconds(text.removesuffix(unit), units.get(unit, 1.0), invalid)


def _seconds(number: str, unit: float, invalid: str) -> float:
    """Return seconds of a number of units; `invalid` is the message if it is none."""
    try:
        value = float(number) * unit
    except ValueError:
        raise typer.BadParameter(invalid) from None
    if not 0 < value < float("inf"):
        raise typer.BadParameter("must be more than 0 seconds")
    return value


def parse_time(text: str) -> datetime:
    """Parse `2026-11-24`, `2026-11-24T06:00+01:00`, `today`, or an age such as `1.5h`; UTC without a zone."""
    units = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
    now = datetime.now(UTC)
    if text in ("today", "yesterday"):
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight if text == "today" else midnight - timedelta(days=1)
    if re.fullmatch(r"[0-9]{1,6}([.,][0-9]{1,6})?[mhdw]", text):
        return now - float(text[:-1].replace(",", ".")) * units[text[-1]]
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"invalid time {text!r}; use 2026-11-24, 2026-11-24T06:00, today or 3d") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def parse_version_or_time(text: str) -> int | datetime:
    """Parse a version of the catalog's table, or a time."""
    return int(text) if text.isdecimal() else parse_time(text)


def parse_bound(text: str) -> tuple[str, float]:
    """Parse `identity=0.5`."""
    name, equals, value = text.partition("=")
    try:
        return name.strip(), float(value if equals else "")
    except ValueError:
        raise typer.BadParameter(f"invalid bound {text!r}; use NAME=NUMBER, for example identity=0.5") from None
