"""A run's rows in the few words that a terminal shows."""

from __future__ import annotations

from dataclasses import dataclass

from catalogs.store.store import open_store
from catalogs.table.manifest import read_manifest

__all__ = ["Result", "results"]


@dataclass(frozen=True)
class Result:
    """How one job ended.

    Attributes:
        frames: of its video; empty without one.
        what: the video's URI, or the error.
    """

    job_id: str
    status: str
    frames: str
    what: str


def results(store: str, run_id: str, most: int) -> list[Result]:
    """Of a run's jobs at most `most`, those that failed first.

    Raises:
        StoreError: there is no such manifest, or it cannot be read.
    """
    columns = ["job_id", "status", "frames", "full_uri", "crop_uri", "error"]
    rows = read_manifest(open_store(store), run_id).select(columns).to_pylist()
    rows.sort(key=lambda row: row["error"] is None)
    return [
        Result(
            job_id=row["job_id"],
            status=row["status"],
            frames="" if row["frames"] is None else str(row["frames"]),
            what=row["error"] or row["full_uri"] or row["crop_uri"] or "",
        )
        for row in rows[:most]
    ]
