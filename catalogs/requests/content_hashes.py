"""The content of inputs, hashed once and remembered by what `inputs.stat` tells of them."""

from __future__ import annotations

import hashlib
import io
import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from catalogs.requests.inputs import InputStat, at_hand, stat
from catalogs.store import uris
from catalogs.store.keys import run_key
from catalogs.store.store import Store
from troupe.errors import Cancelled, InputError, TroupeError
from troupe.files import file_sha256

__all__ = ["ContentHashes"]

_LOG = logging.getLogger(__name__)
_FOLDER = "cache/hashes"
_TYPES: dict[str, pa.DataType] = {
    "uri": pa.string(),
    "size": pa.int64(),
    "version": pa.string(),
    "sha256": pa.string(),
}
_SCHEMA = pa.schema(_TYPES)
_THREADS = 8

Look: TypeAlias = Callable[[str, str, Path], None]


class ContentHashes:
    """SHA-256 of inputs; one that is as it was in an earlier run of the store is not read again. Thread-safe.

    Args:
        store: where they are remembered.
        look: is shown every input that had to be read, as (URI, hash, local path), while it is at hand.
        raise_if_cancelled: asked before every input; stops the work by raising.
    """

    def __init__(
        self,
        store: Store,
        look: Look = lambda *_: None,
        raise_if_cancelled: Callable[[], None] = lambda: None,
    ) -> None:
        self._look, self._raise_if_cancelled = look, raise_if_cancelled
        self._store = store
        self._known: dict[InputStat, str] | None = None
        self._fresh: dict[InputStat, str] = {}
        self._busy: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def of(self, uri: str) -> str:
        """The hash of what the URI points at, hex.

        Raises:
            InputError: it is missing, or changed while it was being read.
            StoreError: the place it is in does not answer.
        """
        self._raise_if_cancelled()
        with self._lock:
            if self._known is None:
                self._known = self._load()
            busy = self._busy.setdefault(uri, threading.Lock())
        with busy:
            found = stat(uri)
            known = self._known.get(found) or self._fresh.get(found)
            if known is not None:
                return known
            content = _hash(uri, self._look)
            if stat(uri) != found:
                raise InputError(f"{uris.redacted(uri)} changed while it was being read; run again when it is complete")
            if found.version:
                with self._lock:
                    self._fresh[found] = content
            return content

    def of_many(self, inputs: Iterable[str]) -> dict[str, str | TroupeError]:
        """The hash of each input, several at a time, or the error that one met: it concerns that input alone."""
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="hash") as pool:
            distinct = list(dict.fromkeys(inputs))
            return dict(zip(distinct, pool.map(self._of_or_error, distinct), strict=True))

    def save(self, run_id: str) -> None:
        """Write what this run has learnt to the store; nothing if that is nothing.

        Raises:
            StoreError: it cannot be written.
        """
        run_key(run_id, "")  # refuses what cannot be part of a key
        with self._lock:
            fresh = dict(self._fresh)
        if not fresh:
            return
        rows = [{"uri": s.uri, "size": s.size, "version": s.version, "sha256": h} for s, h in fresh.items()]
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), sink)
        # A resumed run finds its own log there and writes another.
        names = (f"{run_id}{f'-{n}' if n > 1 else ''}" for n in range(1, 10_000))
        next(name for name in names if self._store.put_bytes(sink.getvalue(), f"{_FOLDER}/{name}.parquet").created)
        with self._lock:
            self._known = {**(self._known or {}), **fresh}
            self._fresh = {entry: content for entry, content in self._fresh.items() if entry not in fresh}

    def _of_or_error(self, uri: str) -> str | TroupeError:
        try:
            return self.of(uri)
        except Cancelled:
            raise
        except TroupeError as error:
            return error

    def _load(self) -> dict[InputStat, str]:
        keys = [key for key in self._store.list(_FOLDER) if key.endswith(".parquet")]
        known: dict[InputStat, str] = {}
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="hash") as pool:
            for key, data in zip(keys, pool.map(self._store.read, keys), strict=True):
                try:
                    table = pq.read_table(io.BytesIO(data), columns=_SCHEMA.names)
                except (pa.ArrowException, OSError) as error:
                    _LOG.warning("%s is damaged and left out: %s", self._store.uri(key), error)
                    continue
                columns = [table.column(name).to_pylist() for name in _SCHEMA.names]
                known |= {InputStat(*state): content for *state, content in zip(*columns, strict=True)}
        return known


def _hash(uri: str, look: Look) -> str:
    with at_hand(uri) as path:
        content = file_sha256(path) if path.is_file() else _folder_hash(path)
        look(uri, content, path)
        return content


def _folder_hash(folder: Path) -> str:
    """Of a sequence: of its pictures, in their order, whatever they were called."""
    pictures = "".join(file_sha256(picture) for picture in sorted(folder.iterdir()))
    return hashlib.sha256(pictures.encode()).hexdigest()
