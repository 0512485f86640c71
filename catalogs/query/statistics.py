"""Statistics over a store's jobs, and the state of its Delta table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from catalogs.query.sql import sql
from catalogs.store.store import Store
from catalogs.table.schema import QUALITIES, SCHEMA, STAGES, SURE_OF_SYNC
from catalogs.table.snapshot import AsOf, open_table
from troupe.errors import SettingsError
from troupe.labels import count_identities, near_labels

__all__ = ["TableState", "costs", "statistics", "table_state"]

_KNOWN = "({0}_sha256 IS NOT NULL OR status IN ('done', 'reused'))"
"""Inputs whose content is known, as `troupe plan` counts them: one may have several URLs, or be missing."""
_COUNTS = {
    "jobs": "count(*)",
    "runs": "count(DISTINCT run_id)",
    "identities": "list(DISTINCT coalesce(identity_key, identity))",
    "unlabelled": "list(DISTINCT coalesce(portrait_sha256, portrait)) "
    f"FILTER (coalesce(identity, '') = '' AND {_KNOWN.format('portrait')})",
    "driving_clips": f"count(DISTINCT coalesce(driving_sha256, driving)) FILTER {_KNOWN.format('driving')}",
    "first_finished": "min(finished_at)",
    "last_finished": "max(finished_at)",
    # A reused render is not a second video.
    "videos": "count(DISTINCT render_key) FILTER (status IN ('done', 'reused'))",
    # Films share their picture, whose frames are counted with the one that it was rendered for; it may have failed for
    # its quality. The report counts the same.
    "frames_rendered": "coalesce(sum(frames) FILTER "
    "(seconds_denoise > 0 OR (status = 'done' AND picture_key IS NULL)), 0)::BIGINT",
    "video_seconds": "coalesce(sum(seconds) FILTER (status = 'done'), 0)",
    "video_bytes": "coalesce(sum(bytes) FILTER (status = 'done'), 0)::BIGINT",
    "flagged": "count(flagged)",
    "by_status": "histogram(status)",
    "by_review": "histogram(review) FILTER (review IS NOT NULL)",
    "by_error": "histogram(error_kind) FILTER (error_kind IS NOT NULL)",
    **{f"seconds_{stage}": f"coalesce(sum(seconds_{stage}), 0)" for stage in STAGES},
    **{f"median_{name}": f"approx_quantile(quality_{name}, 0.5)" for name in QUALITIES},
    "median_sync_offset_frames": "approx_quantile(abs(sync_offset_frames), 0.5) "
    f"FILTER (sync_confidence >= {SURE_OF_SYNC})",
    "median_sync_confidence": "approx_quantile(sync_confidence, 0.5)",
}


@dataclass(frozen=True)
class TableState:
    """State of the Delta table.

    Attributes:
        version: version of the last commit.
        files, bytes: number and total size of its current files.
        small_files: number of files below 16 MB, which `compact` merges.
    """

    version: int
    files: int
    bytes: int
    small_files: int


def statistics(store: Store, *, as_of: AsOf | None = None, **filters: Any) -> dict[str, Any]:
    """Return counts, sums and medians over the jobs that match the filters.

    Raises:
        SettingsError, StoreError: as `sql`.
    """
    columns = ", ".join(f"{what} AS {name}" for name, what in _COUNTS.items())
    (numbers,) = sql(store, f"SELECT {columns} FROM jobs", as_of=as_of, **filters).to_pylist()
    numbers["identities"] = count_identities(numbers["identities"] or (), numbers.pop("unlabelled") or ())
    return {name: dict(value) if isinstance(value, list) else value for name, value in numbers.items()}


def costs(store: Store, by: str | None = None, *, as_of: AsOf | None = None, **filters: Any) -> list[dict[str, Any]]:
    """Return what groups of jobs took, the most work first: group, jobs, videos, video_seconds, worker_hours.

    Work that a resumed or repeated run did again counts, reused videos do not. Videos are different ones, however many
    runs have them.

    Args:
        store: store of the catalog.
        by: text column, or `tags.NAME` for a tag; identities are grouped in every spelling. None makes one group.
        as_of: past state of the catalog to read.
        filters: fields of `catalogs.query.filters.CatalogQuery`.

    Raises:
        SettingsError: the column does not exist; otherwise as `sql`.
        StoreError: as `sql`.
    """
    key, label = _group(by)
    busy = " + ".join(f"coalesce(seconds_{stage}, 0)" for stage in STAGES if stage != "queue")
    query = f"""
        WITH work AS (SELECT {key} AS key, sum({busy}) / 3600 AS worker_hours FROM rows GROUP BY 1),
        made AS (
            SELECT {key} AS key, min({label}) AS "group", count(*) AS jobs,
                count(DISTINCT render_key) FILTER (status IN ('done', 'reused')) AS videos,
                coalesce(sum(seconds) FILTER (status = 'done'), 0) AS video_seconds
            FROM jobs GROUP BY 1
        )
        SELECT "group", jobs, videos, video_seconds, worker_hours
        FROM made JOIN work ON made.key IS NOT DISTINCT FROM work.key ORDER BY worker_hours DESC, "group"
    """
    return sql(store, query, as_of=as_of, **filters).to_pylist()


def _group(by: str | None) -> tuple[str, str]:
    """Return the SQL expressions of a group's key and of its label."""
    if by is None:
        return "'all'", "'all'"
    if by.startswith("tags.") and by != "tags.":
        tag = by.removeprefix("tags.").replace("'", "''")
        return f"tags['{tag}']", f"tags['{tag}']"
    texts = [field.name for field in SCHEMA if pa.types.is_string(field.type)]
    if by not in texts:
        near = near_labels(by, texts)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise SettingsError(f"cannot group by {by!r}; use tags.NAME or a text column such as identity or run_id{hint}")
    return ("coalesce(identity_key, identity)" if by == "identity" else by), by


def table_state(store: Store) -> TableState | None:
    """Return the state of the store's Delta table; None if it has none.

    Raises:
        StoreError: it cannot be read.
    """
    table = open_table(store) if store.delta() is not None else None
    if table is None:
        return None
    files: list[Any] = pa.table(table.get_add_actions(flatten=True)).column("size_bytes").to_pylist()
    sizes = [int(size) for size in files]
    return TableState(int(table.version()), len(sizes), sum(sizes), sum(size < 2**24 for size in sizes))
