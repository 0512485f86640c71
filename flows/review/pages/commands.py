"""Commands of `troupe` that pages show, ready to be pasted into a shell."""

from __future__ import annotations

import shlex

from catalogs.store.store import Store
from catalogs.store.uris import redacted_value

__all__ = ["command"]


def command(store: Store, *words: str) -> str:
    """Return a command on a store."""
    return shlex.join(["troupe", *words, "--store", str(redacted_value(store.url))])
