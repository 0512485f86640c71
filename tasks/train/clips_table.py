"""The table of users' training clips."""

from __future__ import annotations

from dataclasses import dataclass

from catalogs.requests import inputs
from catalogs.requests.access.input_policy import trusting
from catalogs.requests.tables import read_table
from catalogs.store import uris
from troupe import FaceChoice
from troupe.errors import BadJob

__all__ = ["COLUMNS", "ClipEntry", "read_clips_table"]

COLUMNS = ("clip", "start", "end", "face")


@dataclass(frozen=True)
class ClipEntry:
    """A row of the table of users' clips: the URI, the part in seconds, and the face."""

    uri: str
    start: float
    end: float | None
    face: FaceChoice


def read_clips_table(uri: str) -> list[ClipEntry]:
    """Read the table of clips.

    Raises:
        BadJob: unknown columns or invalid cells; all of them are listed.
    """
    table = read_table(inputs.read(uri, trusting(uri)), uris.name(uri))
    rows = list(table.rows)
    problems = list(table.problems)
    problems += [f"{where}: unknown column {name!r}" for name, where in table.columns.items() if name not in COLUMNS]
    entries = []
    for row in rows:
        try:
            entries.append(
                ClipEntry(
                    uri=str(row.cells["clip"]),
                    start=float(row.cells.get("start") or 0),
                    end=float(row.cells["end"]) if row.cells.get("end") else None,
                    face=FaceChoice(str(row.cells.get("face") or "largest")),
                )
            )
        except KeyError:
            problems.append(f"{row.where}: clip is missing")
        except ValueError as error:
            problems.append(f"{row.where}: {error}")
    if problems or not entries:
        raise BadJob(f"the table of clips {uri} cannot be used", problems or ["it has no rows"])
    return entries
