"""SQL queries over the catalog, run by DuckDB inside this process.

A query sees four tables, `jobs` with the latest row of every job and run, `rows` with every row ever recorded,
`exports` with every exported video, and `decisions` with the history of reviews, and nothing else: no files, no
network, no extensions, no settings, no variables of this program.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from catalogs.query.filters import CatalogQuery, all_of
from catalogs.review.columns import REVIEW_COLUMNS, verdict_values
from catalogs.review.decision import Decision
from catalogs.review.decisions import Decisions
from catalogs.review.log import decisions_table
from catalogs.store.error_text import reason
from catalogs.store.store import Store
from catalogs.table.exports import EXPORTS, read_exports
from catalogs.table.redaction import redacted_table
from catalogs.table.snapshot import AsOf, Snapshot, latest_rows, snapshot, time_of
from troupe.errors import SettingsError, StoreError

__all__ = ["sql"]

_SANDBOX: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,
}
_TABLES = "`jobs`, `rows`, `exports` or `decisions`"
_KEY = ["run_id", "job_id", "recorded_at"]
_REPEATED = """
    SELECT run_id, job_id, recorded_at, status FROM every
    WHERE hash(run_id, job_id) IN (SELECT hash(run_id, job_id) FROM every GROUP BY ALL HAVING count(*) > 1)
"""
"""Rows of jobs that have several; hash collisions may add a few others, which is harmless."""


_REVIEW_NAMES = re.compile(r"review|columns|\*|\(\s*(from|table)\b")
"""What a query has that uses `REVIEW_COLUMNS`: their names, or something that stands for all columns."""
_VERDICTS = pa.schema([("scope", pa.string()), ("key", pa.string()), ("rank", pa.int64()), *REVIEW_COLUMNS.items()])


def sql(store: Store, query: str, *, as_of: AsOf | None = None, **filters: Any) -> pa.Table:
    """Run a query in DuckDB's SQL.

    Args:
        store: store of the catalog.
        query: one SELECT (or WITH, DESCRIBE, SUMMARIZE, EXPLAIN) over `jobs`, `rows`, `exports` and `decisions`.
        as_of: past state of the catalog to read.
        filters: fields of `catalogs.query.filters.CatalogQuery`, which restrict both tables.

    Raises:
        SettingsError: the query is invalid.
        StoreError: the catalog cannot be read.

    Example:
        >>> sql(store, "SELECT identity, count(*) FROM jobs WHERE status = 'failed' GROUP BY ALL ORDER BY 2 DESC")
    """
    scope = CatalogQuery.of(filters)
    rows = snapshot(store, scope.run if store.delta() is None else None, as_of)
    scope = scope.completed(rows)
    where = all_of(scope.request_filter, scope.outcome_filter)
    data = rows.data if where is None else rows.data.filter(where)
    with duckdb.connect(config=_SANDBOX) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        # Only for queries that use `jobs`, because it scans every row.
        uses_jobs = re.search(r"\bjobs\b", query, re.IGNORECASE) is not None
        superseded = _superseded(connection, rows, scope, store) if uses_jobs else None
        uses_decisions = re.search(r"\bdecisions\b", query, re.IGNORECASE) is not None
        reviewed = scope.review is not None or _uses_review(query)
        decisions = Decisions(store, time_of(rows, as_of)) if reviewed or uses_decisions else None
        connection.register("decisions", decisions_table(decisions.all() if decisions and uses_decisions else []))
        connection.register("stored", data)
        every_row = "FROM stored"
        if decisions is not None and reviewed:
            verdicts, every_row = _with_review(decisions.verdicts().values())
            connection.register("verdicts", verdicts)
        if scope.review is not None:
            every_row = f"FROM ({every_row}) WHERE review = '{scope.review}'"
        connection.execute(f"CREATE VIEW rows AS {every_row}")
        uses_exports = re.search(r"\bexports\b", query, re.IGNORECASE) is not None
        connection.register("exports", read_exports(store) if uses_exports else EXPORTS.empty_table())
        if superseded is None or not len(superseded):
            connection.execute("CREATE VIEW jobs AS FROM rows")
        else:
            connection.register("superseded", ds.dataset(superseded))
            connection.execute("CREATE VIEW jobs AS FROM rows ANTI JOIN superseded USING (run_id, job_id, recorded_at)")
        connection.execute("SET lock_configuration = true")
        return redacted_table(_execute(connection, query, store))


def _uses_review(query: str) -> bool:
    """Return whether a query may use a column of a review; if in doubt, it does."""
    text = re.sub(r"count\(\s*\*\s*\)", "", query.strip().lower())
    return not text.startswith(("select", "with")) or _REVIEW_NAMES.search(text) is not None


def _with_review(verdicts: Iterable[Decision]) -> tuple[pa.Table, str]:
    """Return a table of verdicts, and the query for all rows with `REVIEW_COLUMNS` that uses it as `verdicts`."""
    ranked = [
        {"scope": verdict.scope, "key": verdict.key, "rank": rank} | verdict_values(verdict)
        for rank, verdict in enumerate(sorted(verdicts, key=lambda verdict: verdict.weight))
    ]
    finished = "status IN ('done', 'reused') AND render_key IS NOT NULL"
    others = ", ".join(f"v.{name}" for name in REVIEW_COLUMNS if name != "review")
    # Of the verdicts about a film and about its picture, the one of the higher rank counts.
    query = f"""
        SELECT stored.*, CASE WHEN {finished} THEN coalesce(v.review, 'pending') END AS review, {others} FROM stored
        LEFT JOIN verdicts AS f ON {finished} AND f.scope = 'film' AND f.key = render_key
        LEFT JOIN verdicts AS p ON {finished} AND p.scope = 'picture' AND p.key = picture_key
        LEFT JOIN verdicts AS v ON v.rank = greatest(f.rank, p.rank)
    """
    return pa.Table.from_pylist(ranked, _VERDICTS), query


def _execute(connection: duckdb.DuckDBPyConnection, query: str, store: Store) -> pa.Table:
    try:
        statements = connection.extract_statements(query)
        queries = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.RELATION)
        if len(statements) != 1 or statements[0].type not in queries:
            raise SettingsError(f"use a single SELECT over {_TABLES}; SQL cannot change the catalog")
        relation = connection.sql(query)
        if relation is None:
            raise SettingsError(f"the query returns no rows; use a SELECT over {_TABLES}")
        table: pa.Table = relation.to_arrow_table()
        return table
    except duckdb.IOException as error:
        raise StoreError(f"cannot read the catalog of {store.url}: {reason(error)}; run again") from error
    except duckdb.Error as error:
        raise SettingsError(f"the query failed: {reason(error)}") from error
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"cannot read the catalog of {store.url}: {reason(error)}; run again") from error


def _superseded(connection: duckdb.DuckDBPyConnection, rows: Snapshot, scope: CatalogQuery, store: Store) -> pa.Table:
    """Return the keys of rows that a later row of the same job and run replaces, usually few."""
    connection.register("every", rows.data if scope.request_filter is None else rows.data.filter(scope.request_filter))
    # Grouped by a hash per job: grouping by the texts would dominate the query's time and memory.
    repeated = _execute(connection, _REPEATED, store)
    connection.unregister("every")
    place = np.arange(len(repeated))
    kept = latest_rows(repeated.append_column("place", pa.array(place))).column("place").to_numpy()
    return repeated.select(_KEY).take(np.setdiff1d(place, kept, assume_unique=True))
