"""Steps whose result is a file in the store's cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TypeVar

from tasks.steps.context import WorkerContext
from tasks.steps.specs import Done
from tasks.steps.thumbnails import put_thumbnail
from troupe import Picture
from troupe.errors import StoreError
from troupe.stopwatch import Stopwatch

__all__ = ["cached_step", "read_cached"]

T = TypeVar("T")
Write = Callable[[Path], None]


def cached_step(
    context: WorkerContext, store_key: str, compute: Callable[[Stopwatch], tuple[Write, Picture | None]]
) -> Done:
    """Compute a result and put it into the cache, unless it is there.

    Args:
        store_key: key of the file in the store.
        compute: returns a function that writes the result to a file, and a head crop for its thumbnail if it has one.

    Raises:
        StoreError: the file cannot be put.
    """
    if context.store.exists(store_key):
        return Done(reused=True)
    watch = Stopwatch()
    write, head = compute(watch)
    with watch("put"), context.scratch() as folder:
        file = folder / PurePosixPath(store_key).name
        write(file)
        puts = context.store.put(file, store_key).created + put_thumbnail(context.store, store_key, head)
    return Done(reused=False, seconds=watch.seconds, puts=puts)


def read_cached(context: WorkerContext, store_key: str, read: Callable[[Path], T]) -> T:
    """Fetch a file from the cache and read it.

    Raises:
        StoreError: it cannot be fetched, or is damaged.
    """
    with context.scratch() as folder:
        file = folder / PurePosixPath(store_key).name
        context.store.get(store_key, file)
        try:
            return read(file)
        except ValueError as error:
            raise StoreError(f"{store_key}: {error}") from error
