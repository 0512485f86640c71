"""Queries for jobs, and their output as CSV, JSON and Parquet."""

from __future__ import annotations

import csv
import io
import json
import math
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from catalogs.query.filters import CatalogQuery, all_of
from catalogs.review.columns import REVIEW_COLUMNS, REVIEW_KEYS, with_review
from catalogs.review.decisions import Decisions
from catalogs.store.store import Store
from catalogs.table.redaction import redacted_table
from catalogs.table.snapshot import AsOf, Snapshot, latest_rows, snapshot, time_of
from troupe.errors import SettingsError

__all__ = ["LISTED_COLUMNS", "latest_run", "list_jobs", "plain_rows", "to_csv", "to_json", "to_parquet"]

LISTED_COLUMNS = (
    "finished_at",
    "run_id",
    "job_id",
    "status",
    "identity",
    "frames",
    "seconds",
    "full_uri",
    "crop_uri",
    "error",
    "review",
)
"""Columns of the table that `troupe catalog ls` prints."""

_KEY = ["run_id", "job_id", "recorded_at"]
_LATEST_KEY = [*_KEY, "status"]
"""Columns that determine the latest row of a job and run."""
_NEWEST_FIRST: list[tuple[str, Literal["ascending", "descending"]]] = [
    ("recorded_at", "descending"),
    ("run_id", "ascending"),
    ("job_id", "ascending"),
]
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def list_jobs(
    store: Store,
    *,
    limit: int | None = None,
    columns: Sequence[str] | None = None,
    as_of: AsOf | None = None,
    decisions: Decisions | None = None,
    **filters: Any,
) -> pa.Table:
    """Return rows of the catalog, one per job and run, the newest first.

    Conditions on the request are pushed down to the files' statistics. With a limit, files are read from the newest
    backwards, and no more than needed.

    Args:
        store: store of the catalog.
        limit: maximum number of rows.
        columns: columns to return, in this order, those of the schema and `REVIEW_COLUMNS`; default all.
        as_of: past state of the catalog to read.
        decisions: the store's decisions, for a caller that keeps them; default those of `as_of`.
        filters: as `catalogs.query.filters.CatalogQuery.of` takes them.

    Raises:
        SettingsError: a filter, status, column or version does not exist, or a value is invalid.
        StoreError: the catalog cannot be read.
    """
    query = CatalogQuery.of(filters)
    if limit is not None and (not isinstance(limit, int) or limit < 0):
        raise SettingsError(f"limit is {limit!r}; use a whole number, 0 or more")
    if isinstance(columns, str):
        raise SettingsError(f"columns is {columns!r}; use a list of names")
    rows = snapshot(store, query.run if store.delta() is None else None, as_of)
    query = query.completed(rows)
    wanted = list(columns) if columns is not None else [*rows.data.schema.names, *REVIEW_COLUMNS]
    reviewed = query.review is not None or not REVIEW_COLUMNS.keys().isdisjoint(wanted)
    if reviewed and decisions is None:
        decisions = Decisions(store, time_of(rows, as_of))
    stored = [name for name in (*wanted, *(REVIEW_KEYS if reviewed else ())) if name not in REVIEW_COLUMNS]
    needed = list(dict.fromkeys([*stored, *_LATEST_KEY]))
    where = all_of(query.request_filter, query.outcome_filter)
    found: list[pa.Table] = []
    for part, rest in rows.newest_first() if limit is not None else [(rows, None)]:
        candidates = part.read(where, needed)
        whole = query.outcome_filter is None and part is rows
        latest = latest_rows(candidates) if whole else _latest_only(rows, candidates)
        if reviewed and decisions is not None:
            latest = with_review(latest, decisions)
        if query.review is not None:
            latest = latest.filter(pc.field("review") == query.review)
        found.append(latest)
        if limit is not None and rest is not None and _count_newer(found, rest) >= limit:
            break
    return redacted_table(pa.concat_tables(found).sort_by(_NEWEST_FIRST).slice(0, limit).select(wanted))


def latest_run(store: Store) -> str | None:
    """Return the run that recorded a row last; None if the catalog is empty.

    Raises:
        StoreError: the catalog cannot be read.
    """
    newest = list_jobs(store, limit=1, columns=["run_id"]).column("run_id").to_pylist()
    return newest[0] if newest else None


def to_csv(table: pa.Table, *, excel: bool = False) -> str:
    """Return CSV with a header, nested values as JSON. Text that is a formula in a spreadsheet starts with `'`.

    Args:
        table: rows.
        excel: whether to begin with a byte order mark, without which Excel takes UTF-8 for another encoding.
    """
    sink = io.StringIO()
    if excel:
        sink.write("\ufeff")
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(map(_escape_formula, table.column_names))
    for row in plain_rows(table):
        writer.writerow([_csv_cell(value) for value in row.values()])
    return sink.getvalue()


def to_json(table: pa.Table) -> str:
    """Return a JSON list with an object per row; times in ISO 8601, UTC."""
    return json.dumps(list(plain_rows(table)), ensure_ascii=False, allow_nan=False, indent=2)


def to_parquet(table: pa.Table) -> bytes:
    """Return a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def _latest_only(rows: Snapshot, candidates: pa.Table) -> pa.Table:
    """Keep the candidates that are the latest row of their job and run, among all of its rows."""
    if not len(candidates):
        return candidates
    runs, jobs = (pc.unique(candidates.column(name)) for name in ("run_id", "job_id"))
    # The range of runs skips files by their statistics; the sets filter rows.
    span = pc.min_max(runs)
    run = pc.field("run_id")
    all_rows = rows.read(
        (run >= span["min"]) & (run <= span["max"]) & run.isin(runs) & pc.field("job_id").isin(jobs), _LATEST_KEY
    )
    # By position, because Arrow cannot join tables with nested columns.
    positions = candidates.select(_KEY).append_column("place", pa.array(range(len(candidates)), pa.int64()))
    return candidates.take(
        positions.join(latest_rows(all_rows).select(_KEY), _KEY, join_type="left semi").column("place")
    )


def _count_newer(found: Sequence[pa.Table], time: int) -> int:
    """Count the rows recorded after a time in microseconds since 1970."""
    moment = pa.scalar(time, pa.timestamp("us", "UTC"))
    return sum(len(table.filter(pc.field("recorded_at") > moment)) for table in found)


def plain_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield rows as JSON values: times in ISO 8601, tags as an object, null for non-finite numbers."""
    maps = {field.name for field in table.schema if pa.types.is_map(field.type)}
    for batch in table.to_batches(max_chunksize=1000):
        for row in batch.to_pylist():
            yield {
                name: dict(value) if name in maps and value is not None else _to_json(value)
                for name, value in row.items()
            }


def _to_json(value: Any) -> Any:
    """Convert a value to JSON's types."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [_to_json(inner) for inner in value]
    if isinstance(value, dict):
        return {name: _to_json(inner) for name, inner in value.items()}
    return value


def _csv_cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return _escape_formula(value) if isinstance(value, str) else value


def _escape_formula(text: str) -> str:
    # Normalised, because spreadsheets accept the full-width signs of East Asian keyboards too.
    first = unicodedata.normalize("NFKC", text.lstrip(" ")[:1])
    return "'" + text if first in _FORMULA_STARTS else text
