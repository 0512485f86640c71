"""Python interface of the catalog, for programs and notebooks: `catalogs.open(store)`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from catalogs.query.jobs import latest_run, list_jobs
from catalogs.query.sql import sql
from catalogs.store.store import Store
from catalogs.table.redaction import redacted_table
from catalogs.table.snapshot import AsOf, check_as_of, snapshot

__all__ = ["Catalog"]


class Catalog:
    """The catalog of a store, now or as of an earlier state.

    Args:
        store: store of the catalog.
        as_of: version of the Delta table, or time with a time zone.

    Raises:
        SettingsError: `as_of` is neither.

    Example:
        >>> catalog = catalogs.open("s3://bucket/troupe")
        >>> catalog.jobs(status="failed", run="20261124-060000-ab12", columns=["job_id", "error"]).to_pandas()
        >>> catalog.sql("SELECT identity, avg(quality_identity) FROM jobs GROUP BY ALL")
    """

    def __init__(self, store: Store, as_of: AsOf | None = None) -> None:
        check_as_of(as_of)
        self.store = store
        self.as_of = as_of

    def jobs(self, *, limit: int | None = None, columns: Sequence[str] | None = None, **filters: Any) -> pa.Table:
        """Return one row per job and run, the newest first.

        Args:
            limit: maximum number of rows.
            columns: columns to return; default all.
            filters: fields of `catalogs.query.filters.CatalogQuery`, such as `status="failed"` or
                `least={"identity": 0.5}`; `run="latest"` is the latest run.

        Raises:
            SettingsError: a filter, status, column or version does not exist, or a value is invalid.
            StoreError: the catalog cannot be read.
        """
        return list_jobs(self.store, limit=limit, columns=columns, as_of=self.as_of, **self._resolved(filters))

    def sql(self, query: str, **filters: Any) -> pa.Table:
        """Run a SELECT over `jobs` (one row per job and run) or `rows` (every row ever recorded).

        Args:
            filters: as for `jobs`; they restrict both tables.

        Raises:
            SettingsError: the query or a filter is invalid.
            StoreError: the catalog cannot be read.
        """
        return sql(self.store, query, as_of=self.as_of, **self._resolved(filters))

    def dataset(self) -> ds.Dataset:
        """Return every row ever recorded as an Arrow dataset; several per job if its run was resumed.

        Rows are read when the dataset is. Where rows of earlier versions have credentials in their URIs, all rows are
        read at once and these are masked.

        Raises:
            SettingsError, StoreError: as `jobs`.
        """
        rows = snapshot(self.store, as_of=self.as_of)
        return ds.dataset(redacted_table(rows.read())) if rows.has_credentials() else rows.data

    def _resolved(self, filters: dict[str, Any]) -> dict[str, Any]:
        """Return the filters with the run_id of the latest run, if it is named so."""
        # An empty catalog has no latest run; no run is named `latest`, so that the filter then matches nothing.
        return {**filters, "run": latest_run(self.store) or "latest"} if filters.get("run") == "latest" else filters
