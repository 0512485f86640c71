"""Asking what was made."""

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

from catalogs.query.filters import CatalogQuery
from catalogs.store.store import Store
from catalogs.table.snapshot import Moment, Snapshot, latest, snapshot
from troupe.errors import SettingsError

__all__ = ["both", "latest_run", "ls", "plain_rows", "to_csv", "to_json", "to_parquet"]

_KEY = ["run_id", "job_id", "recorded_at"]
_COUNTING = [*_KEY, "status"]
"""What tells which rows count."""
_NEWEST_FIRST: list[tuple[str, Literal["ascending", "descending"]]] = [
    ("recorded_at", "descending"),
    ("run_id", "ascending"),
    ("job_id", "ascending"),
]
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def ls(
    store: Store,
    *,
    limit: int | None = None,
    columns: Sequence[str] | None = None,
    as_of: Moment | None = None,
    **filters: Any,
) -> pa.Table:
    """Rows of the catalog, one a job and run, the newest first.

    What is asked for is pushed down to the files' statistics. With a limit, files are read from the newest backwards,
    and no more of them than needed.

    Args:
        store: whose catalog it is.
        limit: at most so many rows.
        columns: these, in this order; all without.
        as_of: the catalog as it was at that version or time.
        filters: which jobs, as `catalogs.query.filters.CatalogQuery` has them.

    Raises:
        SettingsError: there is no such status, column or version, or the limit is negative.
        StoreError: the catalog cannot be read.
    """
    select = CatalogQuery(**filters)
    if limit is not None and limit < 0:
        raise SettingsError(f"limit is {limit}; it cannot be negative")
    rows = snapshot(store, select.run if store.delta() is None else None, as_of)
    wanted = list(columns) if columns is not None else rows.data.schema.names
    needed = list(dict.fromkeys([*wanted, *_COUNTING]))
    where = both(select.asked, select.ended)
    found: list[pa.Table] = []
    for part, rest in rows.backwards() if limit is not None else [(rows, None)]:
        candidates = part.read(where, needed)
        whole = select.ended is None and part is rows
        found.append(latest(candidates) if whole else _counting(rows, candidates))
        if limit is not None and rest is not None and _newer(found, rest) >= limit:
            break
    return pa.concat_tables(found).sort_by(_NEWEST_FIRST).slice(0, limit).select(wanted)


def latest_run(store: Store) -> str | None:
    """The run that recorded a row last; None if the catalog is empty.

    Raises:
        StoreError: the catalog cannot be read.
    """
    newest = ls(store, limit=1, columns=["run_id"]).column("run_id").to_pylist()
    return newest[0] if newest else None


def to_csv(table: pa.Table) -> str:
    """CSV with a header; what is nested as JSON. Text that a spreadsheet would take for a formula begins with `'`."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(map(_harmless, table.column_names))
    for row in plain_rows(table):
        writer.writerow([_csv_cell(value) for value in row.values()])
    return sink.getvalue()


def to_json(table: pa.Table) -> str:
    """A list with an object for every row; times in ISO 8601, UTC."""
    return json.dumps(list(plain_rows(table)), ensure_ascii=False, allow_nan=False, indent=2)


def to_parquet(table: pa.Table) -> bytes:
    """A Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def _counting(rows: Snapshot, candidates: pa.Table) -> pa.Table:
    """Those of the candidates that are what counts of their job and run: none of all its rows is preferred to it."""
    if not len(candidates):
        return candidates
    runs, jobs = (pc.unique(candidates.column(name)) for name in ("run_id", "job_id"))
    # A range of runs rules out files by their statistics, the sets rows.
    span = pc.min_max(runs)
    run = pc.field("run_id")
    rivals = rows.read(
        (run >= span["min"]) & (run <= span["max"]) & run.isin(runs) & pc.field("job_id").isin(jobs), _COUNTING
    )
    # By place, because Arrow joins no tables with nested columns.
    placed = candidates.select(_KEY).append_column("place", pa.array(range(len(candidates)), pa.int64()))
    return candidates.take(placed.join(latest(rivals).select(_KEY), _KEY, join_type="left semi").column("place"))


def _newer(found: Sequence[pa.Table], time: int) -> int:
    """How many rows were recorded after that time, microseconds since 1970."""
    moment = pa.scalar(time, pa.timestamp("us", "UTC"))
    return sum(len(table.filter(pc.field("recorded_at") > moment)) for table in found)


def both(one: pc.Expression | None, other: pc.Expression | None) -> pc.Expression | None:
    """Both conditions, where there are two."""
    return other if one is None else one if other is None else one & other


def plain_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows with values as JSON has them: times in ISO 8601, tags as an object, null for what is not finite."""
    maps = {field.name for field in table.schema if pa.types.is_map(field.type)}
    for batch in table.to_batches(max_chunksize=1000):
        for row in batch.to_pylist():
            yield {
                name: dict(value) if name in maps and value is not None else _plain(value)
                for name, value in row.items()
            }


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return value


def _csv_cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return _harmless(value) if isinstance(value, str) else value


def _harmless(text: str) -> str:
    # Normalised, because spreadsheets take the full-width signs of East Asian keyboards for the others.
    first = unicodedata.normalize("NFKC", text.lstrip(" ")[:1])
    return "'" + text if first in _FORMULA else text
