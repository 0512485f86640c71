"""The store and its catalog: what was requested, and what was produced.

>>> import catalogs
>>> catalogs.open("troupe-store").jobs(status="failed", columns=["job_id", "error"])
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catalogs.query.catalog import Catalog
    from catalogs.table.snapshot import AsOf

__all__ = ["open"]


def open(
    url: str | os.PathLike[str], *, as_of: AsOf | None = None, options: Mapping[str, Any] | None = None
) -> Catalog:
    """Open the catalog of a store, which must exist.

    Args:
        url: folder, or any fsspec URL.
        as_of: version of the Delta table, or time with a time zone, at which to read it.
        options: options of the fsspec file system; see `catalogs.store.store.open_store`.

    Raises:
        SettingsError: there is no store at the URL, or `as_of` is invalid.
        StoreError: the store cannot be read.
    """
    # Imported late, because `troupe --help` imports this module.
    from catalogs.query.catalog import Catalog
    from catalogs.store.existing import open_existing

    return Catalog(open_existing(url, options), as_of)
