"""Asking what was made."""

from __future__ import annotations

import csv
import io
import json
import math
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalogs.rows import Snapshot, latest, snapshot
from catalogs.schema import STATUSES
from catalogs.store import Store
from troupe.errors import SettingsError

__all__ = ["latest_run", "ls", "to_csv", "to_json"]

_COUNTING = ["run_id", "job_id", "status", "recorded_at"]
"""What tells which rows count."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def ls(
    store: Store,
    *,
    status: str | None = None,
    identity: str | None = None,
    run: str | None = None,
    limit: int | None = None,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """Rows of the catalog, one a job and run, the newest first.

    Args:
        store: whose catalog it is.
        status: `done`, `reused`, `failed` or `cancelled`.
        identity: of the person shown.
        run: its run_id.
        limit: at most so many rows.
        columns: these, in this order; all without.

    Raises:
        SettingsError: there is no such status or column, or the limit is negative.
        StoreError: the catalog cannot be read.
    """
    if status is not None and status not in STATUSES:
        raise SettingsError(f"no status {status!r}; there are {', '.join(STATUSES)}")
    if limit is not None and limit < 0:
        raise SettingsError(f"limit is {limit}; it cannot be negative")
    rows = snapshot(store, run)
    wanted = list(columns) if columns is not None else rows.data.schema.names
    where = None if identity is None else pc.field("identity") == identity
    # First the few columns that tell which rows are wanted, and only of those the rest.
    chosen = latest(rows.read(where, _COUNTING))
    if status is not None:
        chosen = chosen.filter(pc.field("status") == status)
    chosen = chosen.sort_by([("recorded_at", "descending"), ("run_id", "ascending"), ("job_id", "ascending")])
    if limit is not None:
        chosen = chosen.slice(0, limit)
    return _whole(rows, chosen, wanted)


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
    for row in _plain_rows(table):
        writer.writerow([_csv_cell(value) for value in row.values()])
    return sink.getvalue()


def to_json(table: pa.Table) -> str:
    """A list with an object for every row; times in ISO 8601, UTC."""
    return json.dumps(list(_plain_rows(table)), ensure_ascii=False, allow_nan=False, indent=2)


def _whole(rows: Snapshot, chosen: pa.Table, wanted: list[str]) -> pa.Table:
    """The chosen rows, in their order, with the columns that are wanted."""
    times = chosen.column("recorded_at")
    time, span = pc.field("recorded_at"), pc.min_max(times)
    # The span rules out files by their statistics, the set rows.
    where = (time >= span["min"]) & (time <= span["max"]) & time.isin(times.combine_chunks())
    found = rows.read(where, list(dict.fromkeys([*_COUNTING, *wanted])))
    places = {key: place for place, key in enumerate(_keys(found))}
    return found.take(pa.array([places[key] for key in _keys(chosen)], pa.int64())).select(wanted)


def _keys(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(table.column(name).to_pylist() for name in ("run_id", "job_id", "recorded_at")), strict=True)


def _plain_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
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
