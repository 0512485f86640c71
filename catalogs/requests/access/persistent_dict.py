"""Facts about inputs, learnt in one run and remembered in the store for the next."""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from catalogs.store.keys import run_key
from catalogs.store.store import Store
from troupe.errors import StoreError
from troupe.process.signals import map_stoppable

__all__ = ["PersistentDict", "digest_name", "name_fits"]

K = TypeVar("K")
V = TypeVar("V")

_LOG = logging.getLogger(__name__)
_NAMED_DIGEST = re.compile(r"\.sha256-([0-9a-f]{16})\.[a-z]+$")


class PersistentDict(Generic[K, V]):
    """A persistent dictionary. Each run adds files, `<folder>/<run_id>.sha256-<digest><suffix>`. Thread-safe.

    The digest in the name is that of the content. Earlier versions wrote files without one.

    Args:
        store: the store that holds the files.
        folder: folder of the files.
        suffix: suffix of the files.
        encode: function that turns facts into the content of a file.
        decode: function that turns the content of a file into facts; a file that it cannot read is ignored.
        required: whether a store that cannot be read is an error. Otherwise the dictionary starts empty.
    """

    def __init__(
        self,
        store: Store,
        folder: str,
        suffix: str,
        encode: Callable[[Mapping[K, V]], bytes],
        decode: Callable[[bytes], Mapping[K, V]],
        *,
        required: bool = True,
    ) -> None:
        self._store, self._folder, self._suffix = store, folder, suffix
        self._encode, self._decode = encode, decode
        self._required = required
        self._facts: dict[K, V] | None = None
        self._new: dict[K, V] = {}
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        """Return the fact, None if it is unknown.

        Raises:
            StoreError: the store cannot be read, and the dictionary is required.
        """
        with self._lock:
            return self._loaded().get(key)

    def add(self, key: K, value: V) -> None:
        """Remember a fact; `save` writes it to the store.

        Raises:
            StoreError: the store cannot be read, and the dictionary is required.
        """
        with self._lock:
            self._loaded()[key] = self._new[key] = value

    def save(self, run_id: str) -> None:
        """Write the facts learnt since the last call to the store; do nothing if there are none.

        Raises:
            SettingsError: the run_id is invalid.
            StoreError: they cannot be written.
        """
        run_key(run_id, "")  # refuses an invalid run_id
        with self._lock:
            new = dict(self._new)
        if not new:
            return
        data = self._encode(new)
        # A resumed run writes another file, because its facts differ.
        self._store.replace(data, digest_name(f"{self._folder}/{run_id}{self._suffix}", data))
        with self._lock:
            self._new = {key: value for key, value in self._new.items() if key not in new}

    def _loaded(self) -> dict[K, V]:
        if self._facts is None:
            try:
                self._facts = self._load()
            except StoreError as error:
                if self._required:
                    raise
                _LOG.warning("%s cannot be read and will be ignored: %s", self._folder, error.message)
                self._facts = {}
        return self._facts

    def _load(self) -> dict[K, V]:
        keys = [key for key in self._store.list(self._folder) if key.endswith(self._suffix)]
        facts: dict[K, V] = {}
        for key, data in zip(keys, map_stoppable(self._store.read, keys), strict=True):
            if not name_fits(key, data):
                _LOG.warning("%s is damaged and will be ignored: other content than written", self._store.uri(key))
                continue
            try:
                facts.update(self._decode(data))
            except Exception as error:  # damage of any kind: deep JSON, infinite numbers, missing columns
                _LOG.warning("%s is damaged and will be ignored: %s", self._store.uri(key), error)
        return facts


def name_fits(key: str, data: bytes) -> bool:
    """Return whether a file has the digest that its name says; True for a name without one."""
    found = _NAMED_DIGEST.search(key)
    return found is None or found[1] == _digest(data)


def digest_name(key: str, data: bytes) -> str:
    """Return the key with the digest of the content in its name, where it has none."""
    stem, dot, suffix = key.rpartition(".")
    return key if _NAMED_DIGEST.search(key) else f"{stem}.sha256-{_digest(data)}{dot}{suffix}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
