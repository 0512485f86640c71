"""Opening a store that exists, for commands that read it or work on what is in it."""

from __future__ import annotations

import os

from catalogs.store.filesystem import Options
from catalogs.store.store import Store, open_store
from troupe.errors import SettingsError

__all__ = ["open_existing"]

_NAMES = frozenset(
    (
        *("audit", "cache", "catalog", "claims", "consent", "decisions", "evaluations", "events", "exports"),
        *("policy.toml", "renders", "review", "runs", "tombstones"),
    )
)
"""Names at the top of a store, see `catalogs.store.keys`; each store has one of them at least."""


def open_existing(url: str | os.PathLike[str], options: Options | None = None) -> Store:
    """Open a store, which must exist: a mistyped URL would look like a store without runs.

    Args:
        url, options: as `open_store` takes them.

    Raises:
        SettingsError: there is no store at the URL.
        StoreError: it cannot be read.
    """
    store = open_store(url, options)
    if _NAMES.isdisjoint(store.names()):
        raise SettingsError(
            f"there is no troupe store at {store.url}; check its URL (--store, TROUPE_STORE); the first run creates one"
        )
    return store
