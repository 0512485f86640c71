"""Columns of the catalog that say where a film stands in review: they are computed when rows are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalogs.review.decision import SCOPES, Decision
from catalogs.review.decisions import Decisions, Subject
from catalogs.table.schema import WITH_VIDEO

__all__ = ["REVIEW_COLUMNS", "REVIEW_KEYS", "reviewable", "verdict_values", "with_review"]

_TEXT = pa.string()
REVIEW_COLUMNS: Mapping[str, Any] = {
    "review": _TEXT,  # `pending`, `approved` or `rejected`; null for jobs without a film
    "reviewer": _TEXT,  # who decided, or `rule: ...`
    "review_reason": _TEXT,
    "reviewed_at": pa.timestamp("us", "UTC"),
}
"""Columns that follow those of the schema."""
REVIEW_KEYS = ("status", "render_key", "picture_key")
"""Columns of the schema that they depend on."""


def with_review(rows: pa.Table, decisions: Decisions) -> pa.Table:
    """Return the rows with `REVIEW_COLUMNS`.

    Args:
        rows: rows with at least `REVIEW_KEYS`.
        decisions: decisions of their store.
    """
    verdicts = decisions.verdicts()
    films, pictures = (pa.array([k for s, k in verdicts if s == scope], _TEXT) for scope in SCOPES)
    waiting: Any = reviewable(rows)
    decided = pc.and_(waiting, pc.or_(pc.is_in(rows["render_key"], films), pc.is_in(rows["picture_key"], pictures)))
    values: dict[str, list[Any]] = {name: [] for name in REVIEW_COLUMNS}
    keys = rows.select(["render_key", "picture_key"]).filter(decided).to_pydict()
    for film, picture in zip(keys["render_key"], keys["picture_key"], strict=True):
        for name, value in _values(verdicts, film, picture).items():
            values[name].append(value)
    for name, kind in REVIEW_COLUMNS.items():
        start = (
            pc.if_else(waiting, "pending", pa.scalar(None, _TEXT)) if name == "review" else pa.nulls(len(rows), kind)
        )
        column = pc.replace_with_mask(_chunk(start), _chunk(decided), pa.array(values[name], kind))
        rows = rows.append_column(name, column)
    return rows


def reviewable(rows: pa.Table) -> Any:
    """Return which rows have a film to review."""
    finished = pc.is_in(rows["status"], pa.array(WITH_VIDEO))
    return pc.and_(finished, pc.is_valid(rows["render_key"]))


def verdict_values(verdict: Decision) -> dict[str, Any]:
    """Return the values of `REVIEW_COLUMNS` that follow from a verdict."""
    return {
        "review": verdict.kind,
        "reviewer": verdict.shown_reviewer,
        "review_reason": verdict.reason or None,
        "reviewed_at": verdict.decided_at,
    }


def _values(verdicts: Mapping[Subject, Decision], film: str, picture: str | None) -> dict[str, Any]:
    found = [verdicts.get(("film", film)), verdicts.get(("picture", picture or ""))]
    return verdict_values(max((verdict for verdict in found if verdict), key=lambda verdict: verdict.weight))


def _chunk(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
