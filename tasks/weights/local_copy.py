"""Local copies of weights in a bucket, fetched once per machine for all its workers."""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from catalogs.requests.access.input_policy import trusting
from catalogs.requests.inputs import localise, stat
from catalogs.store import uris
from catalogs.store.keys import make_key
from catalogs.store.store import open_store
from troupe.errors import InputError, StoreError, WeightsError
from troupe.files import is_part, replacing

__all__ = ["cache_folder", "local_file", "local_weights"]


def cache_folder() -> Path:
    """Return this machine's folder for fetched files: `TROUPE_CACHE`, else `troupe` in the user's cache folder."""
    chosen = os.environ.get("TROUPE_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return user_cache_path("troupe").expanduser().absolute()


def local_weights(uri: str) -> Path:
    """Return a local directory with the weights at `uri`: the directory itself if it is local, else a complete copy.

    A copy is identified by the names, sizes and versions of its files, so that changed weights are fetched again.

    Raises:
        WeightsError: there are none, or they cannot be fetched.
    """
    path = uris.local_path(uri)
    if path is not None:
        path = path.expanduser().absolute()
        if not path.is_dir():
            what = "is a file, not a weights directory" if path.exists() else "does not exist"
            raise WeightsError(f"the weights directory {path} {what}; get the weights with `troupe weights pull DIR`")
        return path
    store = open_store(uri)
    try:
        names = store.list()
        states = [stat(store.uri(name), trusting(uri)) for name in names]
    except (StoreError, InputError) as error:
        raise WeightsError(f"the weights at {uris.redacted(uri)} cannot be listed: {error.message}") from error
    if not names:
        raise WeightsError(f"there are no weights at {uris.redacted(uri)}")
    version = make_key("weights copy", uri=uri, files=[[state.uri, state.size, state.version] for state in states])
    place = cache_folder() / "weights" / version
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.lock"):
        if not place.is_dir():
            try:
                with replacing(place, sole_writer=True) as copy:
                    for name in names:
                        store.get(name, copy / name)
            except (StoreError, OSError) as error:
                raise WeightsError(
                    f"the weights at {uris.redacted(uri)} cannot be fetched to {place}: {error}"
                ) from error
    return place


def local_file(uri: str) -> Path:
    """Return a local file with the content of `uri`: the file itself if it is local, else a copy.

    Raises:
        WeightsError: it does not exist, or cannot be fetched.
    """
    path = uris.local_path(uri)
    if path is not None:
        path = path.expanduser().absolute()
        if not path.is_file():
            raise WeightsError(f"the file {path} {'is a folder' if path.exists() else 'does not exist'}")
        return path
    try:
        state = stat(uri, trusting(uri))
        place = cache_folder() / "files" / make_key("copy", uri=state.uri, size=state.size, version=state.version)
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{place}.lock"):
            complete = (path for path in place.rglob("*") if path.is_file() and not is_part(path.name))
            return next(complete, None) or localise(uri, place, policy=trusting(uri))
    except (StoreError, InputError, OSError) as error:
        raise WeightsError(f"{uris.redacted(uri)} cannot be fetched: {error}") from error
