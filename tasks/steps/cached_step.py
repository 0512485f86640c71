"""Steps whose result is a file in the store's cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TypeVar

from catalogs.requests.access.content_hashes import Input
from catalogs.store.digests import discard, put_with_digests, read_verified
from tasks.steps.context import WorkerContext
from tasks.steps.specs import Done
from tasks.steps.thumbnails import encode_thumbnail
from troupe import Picture
from troupe.errors import DamagedFile
from troupe.stopwatch import Stopwatch

__all__ = ["cached_step", "read_cached"]

T = TypeVar("T")
Write = Callable[[Path], None]


def cached_step(
    context: WorkerContext,
    store_key: str,
    compute: Callable[[Stopwatch], tuple[Write, Picture | None]],
    *inputs: Input,
) -> Done:
    """Compute a result and put it into the cache, unless it is there.

    Args:
        store_key: key of the file in the store.
        compute: returns a function that writes the result to a file, and a head crop for its thumbnail if it has one.
        inputs: what it is computed from; nothing is put if one of them changed meanwhile.

    Raises:
        InputError: an input changed.
        WeightsError: the weights changed.
        StoreError: the file cannot be put.
    """
    if context.store.exists(store_key):
        return Done(reused=True)
    watch = Stopwatch()
    write, head = compute(watch)
    with watch("put"), context.scratch() as folder:
        file = folder / PurePosixPath(store_key).name
        write(file)
        context.check_inputs(*inputs)
        context.check_weights()
        files: dict[str, Path | bytes] = {store_key: file}
        if head is not None:
            files[str(PurePosixPath(store_key).with_suffix(".jpg"))] = encode_thumbnail(head)
        puts = put_with_digests(context.store, files)
    return Done(reused=False, seconds=watch.seconds, puts=puts, notes=context.take_notes())


def read_cached(context: WorkerContext, store_key: str, read: Callable[[Path], T], remake: Callable[[], Done]) -> T:
    """Read a file from the cache; one that is damaged or missing is made again, and noted.

    Args:
        read: reads a local copy; a ValueError or InputError of it means that the file is damaged.
        remake: the step that makes the file.

    Raises:
        StoreError: it cannot be fetched.
        InputError: it cannot be made again.
    """
    try:
        return read_verified(context.store, store_key, read)
    except DamagedFile as error:
        context.note(f"{error.message}; made again")
    discard(context.store, store_key)
    for note in remake().notes:
        context.note(note)
    return read_verified(context.store, store_key, read)
