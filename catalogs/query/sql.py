"""Questions in SQL, answered by DuckDB inside this process.

A question sees two tables, `jobs` with the row that counts of every job and run, and `rows` with all that was ever
recorded, and nothing else: no files, no network, no extensions, no settings, no variables of this program.
"""

from __future__ import annotations

import re
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from catalogs.query.filters import CatalogQuery
from catalogs.query.jobs import both
from catalogs.store.error_text import reason
from catalogs.store.store import Store
from catalogs.table.snapshot import Moment, Snapshot, latest, snapshot
from troupe.errors import SettingsError, StoreError

__all__ = ["sql"]

_ALONE: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,
}
_KEY = ["run_id", "job_id", "recorded_at"]
_REPEATED = """
    SELECT run_id, job_id, recorded_at, status FROM every
    WHERE hash(run_id, job_id) IN (SELECT hash(run_id, job_id) FROM every GROUP BY ALL HAVING count(*) > 1)
"""
"""The rows of jobs with several (and perhaps a few others, which do no harm)."""


def sql(store: Store, query: str, *, as_of: Moment | None = None, **filters: Any) -> pa.Table:
    """The answer to a question in DuckDB's SQL.

    Args:
        store: whose catalog it is.
        query: one SELECT (or WITH, DESCRIBE, SUMMARIZE, EXPLAIN) over `jobs` and `rows`.
        as_of: the catalog as it was at that version or time.
        filters: what the tables hold at all, as `catalogs.query.filters.CatalogQuery` has it.

    Raises:
        SettingsError: the query is no question, or wrong.
        StoreError: the catalog cannot be read.

    Example:
        >>> sql(store, "SELECT identity, count(*) FROM jobs WHERE status = 'failed' GROUP BY ALL ORDER BY 2 DESC")
    """
    select = CatalogQuery(**filters)
    rows = snapshot(store, select.run if store.delta() is None else None, as_of)
    where = both(select.asked, select.ended)
    data = rows.data if where is None else rows.data.filter(where)
    with duckdb.connect(config=_ALONE) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        # Looked for only where it is asked for: it takes a look at every row.
        asked = re.search(r"\bjobs\b", query, re.IGNORECASE) is not None
        superseded = _superseded(connection, rows, select, store) if asked else None
        connection.register("rows", data)
        if superseded is None or not len(superseded):
            connection.execute("CREATE VIEW jobs AS FROM rows")
        else:
            connection.register("superseded", ds.dataset(superseded))
            connection.execute("CREATE VIEW jobs AS FROM rows ANTI JOIN superseded USING (run_id, job_id, recorded_at)")
        connection.execute("SET lock_configuration = true")
        return _answer(connection, query, store)


def _answer(connection: duckdb.DuckDBPyConnection, query: str, store: Store) -> pa.Table:
    try:
        statements = connection.extract_statements(query)
        questions = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.RELATION)
        if len(statements) != 1 or statements[0].type not in questions:
            raise SettingsError("ask one question, a SELECT over `jobs` or `rows`; SQL cannot change the catalog")
        answer = connection.sql(query)
        if answer is None:
            raise SettingsError("that is no question with an answer; use a SELECT over `jobs` or `rows`")
        table: pa.Table = answer.to_arrow_table()
        return table
    except duckdb.IOException as error:
        raise StoreError(f"cannot read the catalog of {store.url}: {reason(error)}; run again") from error
    except duckdb.Error as error:
        raise SettingsError(f"the question cannot be answered: {reason(error)}") from error
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"cannot read the catalog of {store.url}: {reason(error)}; run again") from error


def _superseded(connection: duckdb.DuckDBPyConnection, rows: Snapshot, select: CatalogQuery, store: Store) -> pa.Table:
    """Keys of the rows that do not count, few as a rule: those of jobs that a run came to more than once."""
    connection.register("every", rows.data if select.asked is None else rows.data.filter(select.asked))
    # By a number for each job: the texts of all of them would be most of what the question needs in time and memory.
    repeated = _answer(connection, _REPEATED, store)
    connection.unregister("every")
    place = np.arange(len(repeated))
    kept = latest(repeated.append_column("place", pa.array(place))).column("place").to_numpy()
    return repeated.select(_KEY).take(np.setdiff1d(place, kept, assume_unique=True))
