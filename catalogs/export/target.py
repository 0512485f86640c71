"""Where exports go: a folder or bucket outside of every store, whose files are never overwritten."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from catalogs.store.store import Store, open_store
from troupe.errors import SettingsError, StoreError

__all__ = ["other_files", "put_file", "refuse_stores"]

_SHOWN = 5


def refuse_stores(store: Store, target: Store) -> None:
    """Refuse a store, or a folder inside one, whose own files an export could take the names of.

    Raises:
        SettingsError: the target is one.
    """
    place = target.url.rstrip("/")
    while place.count("/") > (2 if "://" in place else 0):
        if place == store.url.rstrip("/") or _is_store(place):
            raise SettingsError(f"{target.url} is in the store {place}; choose a folder outside of it")
        place = place.rpartition("/")[0]


def _is_store(url: str) -> bool:
    """Return whether there are runs at a URL; False if it may not be listed."""
    with suppress(StoreError):
        return any(key.endswith("/request.parquet") for key in open_store(url).list("runs"))
    return False


def put_file(target: Store, local: tuple[Path, str], file: str) -> bool:
    """Put a file with its hash; return whether it was created.

    Raises:
        SettingsError: another file has its name.
    """
    path, sha256 = local
    put = target.put(path, file, sha256)
    if put.sha256 != sha256:
        raise other_files(target, [file])
    return put.created


def other_files(target: Store, files: Sequence[str]) -> SettingsError:
    """Return the error of an export whose names other files have."""
    names = ", ".join(map(target.uri, files[:_SHOWN])) + (", ..." if len(files) > _SHOWN else "")
    are = "is another file" if len(files) == 1 else f"are {len(files)} other files"
    return SettingsError(f"{names} {are}; choose another folder or other names")
