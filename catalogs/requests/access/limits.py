"""Limits on inputs and jobs files, set by environment variables."""

from __future__ import annotations

import os

from troupe.errors import SettingsError

__all__ = ["MAX_BYTES", "MAX_ROWS", "MAX_SECONDS", "MAX_TABLE_BYTES", "limit"]

MAX_BYTES, MAX_SECONDS = "TROUPE_MAX_INPUT_BYTES", "TROUPE_MAX_FETCH_SECONDS"
"""Variables for the size of the largest input, and the time that fetching one may take."""

MAX_TABLE_BYTES, MAX_ROWS = "TROUPE_MAX_TABLE_BYTES", "TROUPE_MAX_ROWS"
"""Variables for the size of a jobs file, of its cells where they are compressed, and for its number of rows."""

_DEFAULTS = {MAX_BYTES: 200_000_000_000, MAX_SECONDS: 3600, MAX_TABLE_BYTES: 2**29, MAX_ROWS: 1_000_000}


def limit(variable: str) -> int:
    """Return the limit that an environment variable sets, or its default.

    Raises:
        SettingsError: the variable is not a whole number above 0.
    """
    text = os.environ.get(variable, "").strip() or str(_DEFAULTS[variable])
    if not text.isdecimal() or int(text) < 1:
        raise SettingsError(f"{variable} is {text!r}; use a whole number above 0")
    return int(text)
