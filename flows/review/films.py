"""Finished films of a store: how many are in which state, families of a picture, and whether a key is of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalogs.query.job_index import JobIndex
from catalogs.query.listing import matching_jobs
from catalogs.review.columns import reviewable
from catalogs.review.decisions import Decisions
from catalogs.table.schema import WITH_VIDEO

__all__ = ["count_films", "families_of", "files_of", "has_film"]

_FAMILY = ("run_id", "job_id", "status", "language", "render_key", "picture_key", "output", "recorded_at")


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
    films = _last_of_each(rows.select(["render_key", "picture_key"]), "render_key")
    if by_picture:
        subject = pc.coalesce(films.column("picture_key"), films.column("render_key"))
        films = _last_of_each(films.append_column("subject", subject), "subject")
    keys, pictures = films.column("render_key"), films.column("picture_key")
    decided_films, decided_pictures = decisions.decided()
    decided = films.filter(pc.or_(pc.is_in(keys, decided_films), pc.is_in(pictures, decided_pictures)))
    subjects: Any = [decided.column(name).to_pylist() for name in ("render_key", "picture_key")]
    states = decisions.of(*subjects)
    found = Counter(state.state for state in states.values())
    counts = {"approved": found["approved"], "rejected": found["rejected"]}
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


def files_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `MediaSigner` needs of a film, from columns of the index.

    Files of a render have fixed names; the rows' URIs would take most of the memory of the catalog's index.
    """
    return {
        "render_key": row["render_key"],
        "full_uri": "full.mp4" if row["output"] != "crop" else None,
        "crop_uri": "crop.mp4" if row["output"] != "full" else None,
        "poster_uri": "poster.jpg",
    }


def has_film(index: JobIndex, scope: str, key: str) -> bool:
    """Return whether the store has a finished film, or a picture of one, with this key."""
    column = "render_key" if scope == "film" else "picture_key"
    rows = index.jobs(["status", column])
    return bool(pc.any(pc.and_(pc.equal(rows.column(column), pa.scalar(key)), _is_finished(rows))).as_py())


def _last_of_each(rows: pa.Table, key: str) -> pa.Table:
    """Return the last row with each value of a column."""
    codes: Any = rows.column(key).combine_chunks().dictionary_encode()
    last = np.zeros(len(codes.dictionary), np.int64)
    last[np.asarray(codes.indices)] = np.arange(len(rows))
    return rows.take(pa.array(last, pa.int64()))


def _finished(rows: pa.Table) -> pa.Table:
    return rows.filter(reviewable(rows))


def _is_finished(rows: pa.Table) -> Any:
    return pc.is_in(rows.column("status"), pa.array(WITH_VIDEO))
