"""Files that a request names and that cannot be read, as far as a look at them tells."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from catalogs.requests.access.input_policy import PUBLIC, InputPolicy
from catalogs.requests.inputs import stat
from catalogs.requests.tables import MOST_PROBLEMS
from catalogs.store import uris
from troupe.errors import TroupeError

__all__ = ["PolicySource", "any_public", "missing", "missing_files"]

PolicySource = Callable[[], InputPolicy]
"""Returns the policy of a run: it is in the store, which only some requests need before they are valid."""

_FILES = ("portrait", "driving", "tracks", "audio", "subtitles")
_NO_FILE = ("", "driving", "none")
_MOST_FILES = 10_000


def any_public() -> InputPolicy:
    """Return the policy for inputs that nobody vouches for."""
    return PUBLIC


def missing(uri: str, policy: PolicySource) -> str | None:
    """Return why a file cannot be read; None if it is there."""
    try:
        stat(uri, policy())
    except TroupeError as error:
        return error.message
    return None


def missing_files(
    rows: Iterable[tuple[str, Mapping[str, Any]]], policy: PolicySource, known: Collection[str]
) -> list[str]:
    """Return which local files of rows cannot be read: each file once, with the first row that names it.

    Args:
        rows: position of each row, for messages, and its valid values by column.
        known: problems that are reported already; at most `MOST_PROBLEMS` are reported.
    """
    problems: list[str] = []
    reported, seen = "\n".join(known), set(_NO_FILE)
    for where, cells in rows:
        for column in _FILES:
            uri = str(cells.get(column) or "")
            if uri in seen or "{" in uri or uris.local_path(uri) is None:
                continue
            if len(known) + len(problems) >= MOST_PROBLEMS or len(seen) > _MOST_FILES:
                return problems
            seen.add(uri)
            if (problem := missing(uri, policy)) is not None and problem not in reported:
                problems.append(f"{where}: {column}: {problem}")
    return problems
