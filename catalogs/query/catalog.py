"""The catalog for programs and notebooks: `catalogs.open(store)`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from catalogs.query.jobs import ls
from catalogs.query.sql import sql
from catalogs.store.store import Store
from catalogs.table.snapshot import Moment, snapshot

__all__ = ["Catalog"]


class Catalog:
    """What a store holds, now or at an earlier moment.

    Args:
        store: whose catalog it is.
        as_of: a version of the Delta table, or a time with a zone.

    Example:
        >>> catalog = catalogs.open("s3://bucket/troupe")
        >>> catalog.jobs(status="failed", run="20261124-060000-ab12", columns=["job_id", "error"]).to_pandas()
        >>> catalog.sql("SELECT identity, avg(quality_identity) FROM jobs GROUP BY ALL")
    """

    def __init__(self, store: Store, as_of: Moment | None = None) -> None:
        self.store = store
        self.as_of = as_of

    def jobs(self, *, limit: int | None = None, columns: Sequence[str] | None = None, **filters: Any) -> pa.Table:
        """One row a job and run, the newest first.

        Args:
            limit: at most so many.
            columns: these; all without.
            filters: such as `status="failed"` or `least={"identity": 0.5}`; see `catalogs.query.filters.CatalogQuery`.

        Raises:
            SettingsError: there is no such status, column or version.
            StoreError: the catalog cannot be read.
        """
        return ls(self.store, limit=limit, columns=columns, as_of=self.as_of, **filters)

    def sql(self, query: str, **filters: Any) -> pa.Table:
        """The answer to a SELECT over `jobs` (one row a job and run) or `rows` (all ever recorded).

        Raises:
            SettingsError: the query is no question, or wrong.
            StoreError: the catalog cannot be read.
        """
        return sql(self.store, query, as_of=self.as_of, **filters)

    def dataset(self) -> ds.Dataset:
        """All rows that were ever recorded, several of a job where a run was resumed, for whatever reads Arrow.

        Raises:
            SettingsError, StoreError: as `jobs`.
        """
        return snapshot(self.store, as_of=self.as_of).data
