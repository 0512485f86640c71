"""What was asked and what came out.

>>> import catalogs
>>> catalogs.open("troupe-store").jobs(status="failed", columns=["job_id", "error"])
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catalogs.query.catalog import Catalog
    from catalogs.table.snapshot import Moment

__all__ = ["open"]


def open(url: str, *, as_of: Moment | None = None, options: Mapping[str, Any] | None = None) -> Catalog:
    """The catalog of the store at `url`.

    Args:
        url: a folder, or any fsspec URL.
        as_of: as it was at a version of the Delta table, or at a time with a zone.
        options: of the fsspec file system; see `catalogs.store.store.open_store`.

    Raises:
        SettingsError: the URL cannot name a store.
    """
    # Not before it is needed: `troupe --help` comes by here.
    from catalogs.query.catalog import Catalog
    from catalogs.store.store import open_store

    return Catalog(open_store(url, options), as_of)
