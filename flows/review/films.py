"""Finished films of a store: how many are in which state, families of a picture, and whether a key is of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalogs.query.job_index import JobIndex
from catalogs.query.listing import matching_jobs
from catalogs.review.columns import reviewable
from catalogs.review.decisions import Decisions
from catalogs.table.schema import WITH_VIDEO

__all__ = ["count_films", "families_of", "has_film"]

_FAMILY = ("run_id", "job_id", "status", "language", "render_key", "picture_key", "full_uri", "crop_uri", "recorded_at")


def count_films(
    index: JobIndex, filters: Mapping[str, Any], decisions: Decisions, *, by_picture: bool = False
) -> dict[str, int]:
    """Return the number of films that match the filters by state of review, each counted once.

    Args:
        index: the catalog's jobs.
        filters: as `catalogs.query.filters.CatalogQuery.of` takes them.
        decisions: what was decided about them.
        by_picture: whether films of one picture count as one.
    """
    rows = _finished(matching_jobs(index, filters, ["status", "render_key", "picture_key"]))
    films = dict(zip(*(rows.column(name).to_pylist() for name in ("render_key", "picture_key")), strict=True))
    if by_picture:
        films = {film: picture for picture, film in {picture or film: film for film, picture in films.items()}.items()}
    decided_films, decided_pictures = decisions.decided()
    decided = [film for film, picture in films.items() if film in decided_films or picture in decided_pictures]
    states = decisions.of(decided, [films[film] for film in decided])
    counts = {"approved": 0, "rejected": 0}
    for state in states.values():
        if state.state in counts:
            counts[state.state] += 1
    return {"pending": len(films) - sum(counts.values()), **counts}


def families_of(index: JobIndex, pictures: set[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the films of pictures, each film once, by language."""
    if not pictures:
        return {}
    rows = index.jobs(_FAMILY)
    rows = _finished(rows.filter(pc.is_in(rows.column("picture_key"), pa.array(sorted(pictures)))))
    families: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows.sort_by([("recorded_at", "ascending")]).to_pylist():
        families.setdefault(row["picture_key"], {})[row["render_key"]] = row
    return {
        picture: sorted(films.values(), key=lambda film: (film["language"] or "", film["job_id"]))
        for picture, films in families.items()
    }


def has_film(index: JobIndex, scope: str, key: str) -> bool:
    """Return whether the store has a finished film, or a picture of one, with this key."""
    column = "render_key" if scope == "film" else "picture_key"
    rows = index.jobs(["status", column])
    return bool(pc.any(pc.and_(pc.equal(rows.column(column), pa.scalar(key)), _is_finished(rows))).as_py())


def _finished(rows: pa.Table) -> pa.Table:
    return rows.filter(reviewable(rows))


def _is_finished(rows: pa.Table) -> Any:
    return pc.is_in(rows.column("status"), pa.array(WITH_VIDEO))
