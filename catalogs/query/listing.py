"""Pages of a catalog's jobs in an order, each with the cursor of the next: rows that are added meanwhile move nothing.

A page is found by its position in the order (keyset), not by a number of rows to skip, so that the last page takes as
long as the first.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from catalogs.query.filters import CatalogQuery, all_of
from catalogs.query.job_index import JobIndex
from catalogs.review.columns import reviewable
from catalogs.review.decision import PENDING, REVIEW_STATES
from catalogs.review.decisions import Decisions
from catalogs.table.redaction import redacted_table
from catalogs.table.schema import EITHER_SIGN, HIGHER_IS_BETTER, QUALITIES, SYNC_COLUMNS, WITH_VIDEO
from catalogs.table.snapshot import Snapshot
from troupe.errors import SettingsError

__all__ = ["COLUMNS", "MEASURES", "ORDERS", "JobPage", "list_page", "matching_jobs"]

MEASURES = (*QUALITIES, *SYNC_COLUMNS)
"""Measures by which jobs can be ordered, the worst first."""
ORDERS = ("newest", "oldest", "job", *MEASURES)
"""Orders of a listing."""
COLUMNS = (
    *("run_id", "job_id", "status", "identity", "language", "driving", "output", "render_key", "picture_key"),
    *("frames", "seconds", "error_kind", "error", "flagged", "finished_at", "recorded_at"),
    *(f"quality_{name}" for name in QUALITIES),
    *("sync_offset_frames", "sync_confidence"),
)
"""Columns of a page's rows, beside the one that they are ordered by."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Direction = Literal["ascending", "descending"]
_TIES: tuple[tuple[str, _Direction], ...] = (
    ("recorded_at", "descending"),
    ("run_id", "ascending"),
    ("job_id", "ascending"),
)
"""What decides between equal rows, and identifies a row."""
_FILTERED: Mapping[str, Sequence[str]] = {
    "status": ("status",),
    "identity": ("identity", "identity_key"),
    "portraits": ("portrait_sha256",),
    "driving": ("driving",),
    "tags": ("tags",),
    "language": ("language",),
    "run": ("run_id",),
    "job": ("job_id",),
    "error_kind": ("error_kind",),
    "picture": ("picture_key",),
    "checksum": ("checksum",),
    "since": ("finished_at",),
    "until": ("finished_at",),
}
"""Columns that filters look at."""


@dataclass(frozen=True)
class JobPage:
    """A part of a listing.

    Attributes:
        rows: columns of the jobs, in order; `review` is their `ReviewState`, None for jobs without a video.
        total: number of jobs of the whole listing.
        after: cursor of the next page; empty if this is the last one.
    """

    rows: list[dict[str, Any]]
    total: int
    after: str


def list_page(
    index: JobIndex,
    filters: Mapping[str, Any],
    *,
    order: str = "newest",
    after: str = "",
    limit: int = 60,
    decisions: Decisions | None = None,
    review: str = "",
) -> JobPage:
    """Return a page of the jobs that match the filters.

    Args:
        index: the catalog's jobs.
        filters: as `catalogs.query.filters.CatalogQuery.of` takes them.
        order: one of `ORDERS`. By a measure, the worst come first, and jobs without it last.
        after: cursor of the page before; empty for the first page.
        limit: maximum number of rows.
        decisions: what was decided about the store's films.
        review: only films in this state, `pending`, `approved` or `rejected`; empty: as the filters say.

    Raises:
        SettingsError: a filter, the order, the state or the cursor is invalid.
        StoreError: the catalog or the decisions cannot be read.
    """
    query = CatalogQuery.of(filters)
    review = review or query.review or ""
    for what, value, known in (("order", order, ORDERS), ("state of review", review, ("", *REVIEW_STATES))):
        if value not in known:
            raise SettingsError(f"unknown {what} {value!r}; use one of {', '.join(filter(None, known))}")
    keys, measure = _keys(order), _column(order)
    place = _decoded(after, order) if after else None
    needed = ["status", "render_key", "picture_key", *([measure] if measure else []), *_columns(query)]
    jobs = index.jobs([*COLUMNS, *needed])
    slim = jobs.select(list(dict.fromkeys(["run_id", "job_id", "recorded_at", *needed])))
    slim = slim.append_column("place", pa.array(np.arange(len(jobs))))
    if measure:
        slim = slim.append_column("rank", _badness(slim.column(measure), order))
    data = Snapshot(index.store.url, ds.dataset(slim))
    query = query.completed(data)
    kept = [*(name for name, _ in keys), "place", *(["status", "render_key", "picture_key"] if review else [])]
    where = all_of(query.request_filter, query.outcome_filter)
    rows = slim.select(kept) if where is None else data.read(where, kept)
    if review:
        rows = rows.filter(_in_state(rows, decisions, review))
    left = rows if place is None else rows.filter(_behind(keys, place))
    # One more than is shown, to know whether there are more.
    first = _first(left, keys, limit + 1)
    shown = left.take(first[:limit])
    cursor = _encoded(order, [shown.column(key)[-1].as_py() for key, _ in keys]) if len(first) > limit else ""
    page = redacted_table(jobs.select(COLUMNS).take(shown.column("place"))).to_pylist()
    return JobPage(_with_review(page, decisions), len(rows), cursor)


def matching_jobs(index: JobIndex, filters: Mapping[str, Any], columns: Sequence[str]) -> pa.Table:
    """Return columns of all jobs that match the filters, in no order.

    Raises:
        SettingsError: a filter is invalid, or a column does not exist.
        StoreError: the catalog cannot be read.
    """
    query = CatalogQuery.of(filters)
    jobs = index.jobs([*columns, *_columns(query)])
    data = Snapshot(index.store.url, ds.dataset(jobs))
    query = query.completed(data)
    where = all_of(query.request_filter, query.outcome_filter)
    return jobs.select(list(columns)) if where is None else data.read(where, list(columns))


def _in_state(rows: pa.Table, decisions: Decisions | None, state: str) -> Any:
    """Return for each row whether its film is in a state of review."""
    has_film = reviewable(rows)
    films, pictures = decisions.decided() if decisions else (pa.array([], pa.string()),) * 2
    decided = pc.or_(pc.is_in(rows.column("render_key"), films), pc.is_in(rows.column("picture_key"), pictures))
    if state == "pending":
        return pc.and_(has_film, pc.invert(decided))
    some = rows.select(["render_key", "picture_key"]).filter(pc.and_(has_film, decided))
    subjects: Any = [column.to_pylist() for column in some.columns]
    states = decisions.of(*subjects) if decisions else {}
    wanted = [film for film, found in states.items() if found.state == state]
    return pc.is_in(rows.column("render_key"), pa.array(wanted, pa.string()))


def _with_review(rows: list[dict[str, Any]], decisions: Decisions | None) -> list[dict[str, Any]]:
    """Return the rows with the state of their films."""
    films = [row for row in rows if _has_video(row)]
    keys = [row["render_key"] for row in films], [row["picture_key"] for row in films]
    states = decisions.of(*keys) if decisions else {}
    return [row | {"review": states.get(row["render_key"], PENDING) if _has_video(row) else None} for row in rows]


def _has_video(row: Mapping[str, Any]) -> bool:
    return bool(row["render_key"]) and row["status"] in WITH_VIDEO


def _first(rows: Any, keys: list[tuple[str, _Direction]], count: int) -> Any:
    """Return the places of the first rows in an order."""
    return pc.select_k_unstable(rows, min(count, len(rows)), keys) if len(rows) else pa.array([], pa.int64())


def _keys(order: str) -> list[tuple[str, _Direction]]:
    """Return what rows are sorted by."""
    if order == "job":
        return [("job_id", "ascending"), *_TIES[:2]]
    if order == "oldest":
        return [("recorded_at", "ascending"), *_TIES[1:]]
    return list(_TIES) if order == "newest" else [("rank", "descending"), *_TIES]


def _column(order: str) -> str:
    """Return the column of a measure; empty for other orders."""
    if order not in MEASURES:
        return ""
    return f"quality_{order}" if order in QUALITIES else order


def _columns(query: CatalogQuery) -> Iterator[str]:
    """Yield the columns that a query looks at."""
    for name, columns in _FILTERED.items():
        if getattr(query, name):
            yield from columns
    for name in (*query.least, *query.most):
        yield f"quality_{name}" if name in QUALITIES else name


def _badness(values: Any, order: str) -> Any:
    """Return numbers that are the larger the worse a measure is; those of missing values are the smallest."""
    numbers = pc.cast(values, pa.float64())
    if order in EITHER_SIGN:
        numbers = pc.abs(numbers)
    elif order in HIGHER_IS_BETTER:
        numbers = pc.negate(numbers)
    return pc.fill_null(numbers, float("-inf"))


def _behind(keys: Sequence[tuple[str, _Direction]], place: Sequence[Any]) -> pc.Expression:
    """Return the condition of rows that come after a place in the order."""
    (name, direction), *others = keys
    value = pa.scalar(place[0], pa.timestamp("us", "UTC")) if name == "recorded_at" else place[0]
    column = pc.field(name)
    behind = column > value if direction == "ascending" else column < value
    return behind | (column == value) & _behind(others, place[1:]) if others else behind


def _encoded(order: str, place: Sequence[Any]) -> str:
    """Return a place in an order as text that can be part of a URL."""
    moment = timedelta(microseconds=1)
    values = [(value - _EPOCH) // moment if isinstance(value, datetime) else value for value in place]
    return base64.urlsafe_b64encode(json.dumps([order, *values], separators=(",", ":")).encode()).decode().rstrip("=")


def _decoded(cursor: str, order: str) -> list[Any]:
    """Return the place that a cursor names.

    Raises:
        SettingsError: it is no cursor of this order.
    """
    kinds = {"rank": float, "recorded_at": int}
    names = [name for name, _ in _keys(order)]
    try:
        named, *place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        json.dumps(place, ensure_ascii=False).encode()  # Arrow refuses lone surrogates
        if named != order or [type(value) for value in place] != [kinds.get(name, str) for name in names]:
            raise ValueError("of another order")
        return [
            _EPOCH + timedelta(microseconds=value) if name == "recorded_at" else value
            for name, value in zip(names, place, strict=True)
        ]
    except (ValueError, TypeError, OverflowError) as error:
        raise SettingsError(f"invalid cursor {cursor!r}; start again with the first page") from error
