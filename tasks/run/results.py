"""Results of a run, short enough for a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import shorten

from catalogs.store.store import open_store
from catalogs.store.uris import name
from catalogs.table.manifest import read_manifest

__all__ = ["Result", "results"]

MAX_ERROR = 100
"""Characters of an error; the manifest and the report have all of it."""


@dataclass(frozen=True)
class Result:
    """Result of one job.

    Attributes:
        driving: file name of its clip.
        language: its language; empty without one.
        frames: number of frames of its video; empty without one.
        what: URI of the video, or the error in short.
    """

    job_id: str
    status: str
    driving: str
    language: str
    frames: str
    what: str


def results(store: str, run_id: str, most: int) -> list[Result]:
    """Return the results of at most `most` of a run's jobs, failed ones first.

    Raises:
        StoreError: the manifest does not exist, or cannot be read.
    """
    columns = ["job_id", "status", "driving", "language", "frames", "full_uri", "crop_uri", "error"]
    rows = read_manifest(open_store(store), run_id).select(columns).to_pylist()
    rows.sort(key=lambda row: row["error"] is None)
    return [
        Result(
            job_id=row["job_id"],
            status=row["status"],
            driving=name(row["driving"]),
            language=row["language"] or "",
            frames="" if row["frames"] is None else str(row["frames"]),
            what=shorten(row["error"] or "", MAX_ERROR, placeholder=" …") or row["full_uri"] or row["crop_uri"] or "",
        )
        for row in rows[:most]
    ]
