"""SHA-256 digests of cached files, verified whenever a file is read.

The digests of `cache/motion/KEY.safetensors` and of its thumbnail `KEY.jpg` are in `cache/motion/KEY.sha256`, in the
format of `sha256sum`. It is written last. A file without a digest, as earlier versions wrote them, gets one when it is
first read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import TypeVar

from catalogs.store.store import Store
from troupe.errors import DamagedFile, InputError
from troupe.files import file_sha256
from troupe.process.scratch import scratch_folder

__all__ = ["add_digest", "digest_key", "discard", "put_with_digests", "read_digests", "read_verified"]

T = TypeVar("T")

SUFFIX = ".sha256"


def digest_key(key: str) -> str:
    """Return the key of the file that holds the digest of the file at `key`."""
    return str(PurePosixPath(key).with_suffix(SUFFIX))


def put_with_digests(store: Store, files: Mapping[str, Path | bytes]) -> int:
    """Put files that differ in their suffix only, and then their digests; return the number of files created.

    Raises:
        StoreError: a file cannot be put.
    """
    puts = [
        store.put_bytes(source, key) if isinstance(source, bytes) else store.put(source, key)
        for key, source in files.items()
    ]
    created = sum(put.created for put in puts)
    if created:
        # Replaced: a digest may be left of a file that was evicted.
        store.replace(_encode({PurePosixPath(put.key).name: put.sha256 for put in puts}), digest_key(puts[0].key))
    return created + bool(created)


def read_digests(store: Store, key: str) -> dict[str, str]:
    """Return the digests by file name that are stored for the file at `key` and its thumbnail; empty without any.

    Raises:
        DamagedFile: the file of digests is damaged.
        StoreError: it cannot be read.
    """
    place = digest_key(key)
    if not store.exists(place):
        return {}
    lines = store.read(place).decode(errors="replace").splitlines()
    found = [line.split("  ", 1) for line in lines]
    if not found or any(len(line) != 2 or len(line[0]) != 64 for line in found):
        raise DamagedFile(f"{store.uri(place)} is damaged")
    return {name: sha256 for sha256, name in found}


def read_verified(store: Store, key: str, read: Callable[[Path], T]) -> T:
    """Fetch a cached file, compare it with its digest, and read it.

    Args:
        read: reads a local copy; a ValueError or InputError of it means that the file is damaged.

    Raises:
        DamagedFile: the file is missing, unreadable or not what was written.
        StoreError: it cannot be fetched.
    """
    if not store.exists(key):
        raise DamagedFile(f"{store.uri(key)} is missing")
    with scratch_folder() as folder:
        local = folder / PurePosixPath(key).name
        store.get(key, local)
        found, expected = file_sha256(local), read_digests(store, key).get(local.name)
        if expected is not None and found != expected:
            raise DamagedFile(f"{store.uri(key)} is damaged: its SHA-256 is {found[:12]}…, not {expected[:12]}…")
        try:
            value = read(local)
        except (ValueError, InputError) as error:
            raise DamagedFile(f"{store.uri(key)} is damaged: {error}") from error
    if expected is None:
        add_digest(store, key, found)
    return value


def add_digest(store: Store, key: str, sha256: str) -> None:
    """Store the digest of a file that has none.

    Raises:
        StoreError: it cannot be written.
    """
    store.replace(_encode(read_digests(store, key) | {PurePosixPath(key).name: sha256}), digest_key(key))


def discard(store: Store, key: str) -> None:
    """Delete a damaged cached file, its thumbnail and their digests, so that they can be made again.

    Raises:
        StoreError: a file cannot be deleted.
    """
    for name in (key, str(PurePosixPath(key).with_suffix(".jpg")), digest_key(key)):
        store.delete(name)


def _encode(digests: Mapping[str, str]) -> bytes:
    return "".join(f"{sha256}  {name}\n" for name, sha256 in digests.items()).encode()
