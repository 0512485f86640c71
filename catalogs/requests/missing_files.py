"""Files that a request names and that cannot be read, as far as a look at them shows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from catalogs.requests.access.input_policy import PUBLIC, InputPolicy
from catalogs.requests.inputs import stat
from catalogs.requests.tables import MOST_PROBLEMS
from catalogs.store import uris
from troupe.errors import TroupeError

__all__ = ["FileProblem", "PolicySource", "any_public", "missing", "missing_files"]

PolicySource = Callable[[], InputPolicy]
"""Returns the policy of a run: it is in the store, which only some requests need before they are valid."""

FileProblem = Callable[[str, Path, Mapping[str, Any]], str | None]
"""Returns why a local file cannot be used, given its column, its path and the row's values; None if it can be."""

_FILES = ("portrait", "driving", "tracks", "audio", "subtitles")
_NO_FILE = ("", "driving", "none")
_MOST_FILES = 10_000


def any_public() -> InputPolicy:
    """Return the policy for inputs that nobody vouches for."""
    return PUBLIC


def missing(uri: str, policy: PolicySource) -> str | None:
    """Return why a file cannot be read; None if it is there.

    Raises:
        SettingsError, StoreError: the policy cannot be read, which is no fault of the file.
    """
    allowed = policy()
    try:
        stat(uri, allowed)
    except TroupeError as error:
        return error.message
    return None


def missing_files(
    rows: Iterable[tuple[str, Mapping[str, Any]]],
    policy: PolicySource,
    known: Collection[str],
    file_problem: FileProblem | None = None,
) -> list[str]:
    """Return which local files of rows cannot be used: each file once, with the first row that names it.

    Args:
        rows: position of each row, for messages, and its valid values by column.
        known: problems that are reported already; at most `MOST_PROBLEMS` are reported.
        file_problem: what looks into the files that can be read.
    """
    problems: list[str] = []
    reported, seen = "\n".join(known), set(_NO_FILE)
    for where, cells in rows:
        for column in _FILES:
            uri = str(cells.get(column) or "")
            path = uris.local_path(uri)
            if uri in seen or "{" in uri or path is None:
                continue
            if len(known) + len(problems) >= MOST_PROBLEMS or len(seen) > _MOST_FILES:
                return problems
            seen.add(uri)
            problem = missing(uri, policy)
            if problem is None and file_problem is not None:
                problem = file_problem(column, path, cells)
            if problem is not None and problem not in reported:
                problems.append(f"{where}: {column}: {problem}")
    return problems
