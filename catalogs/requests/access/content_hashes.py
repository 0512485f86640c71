"""SHA-256 of inputs, computed once and remembered by URI, size and version."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from catalogs.requests.access.input_policy import PUBLIC, InputPolicy
from catalogs.requests.access.persistent_dict import PersistentDict
from catalogs.requests.inputs import InputStat, input_error, localised, stat
from catalogs.store import uris
from catalogs.store.store import Store
from troupe.errors import Cancelled, InputError, TroupeError
from troupe.files import file_sha256
from troupe.process.signals import map_stoppable

__all__ = ["ContentHashes", "Input", "content_hash"]

_FOLDER = "cache/hashes"
_TYPES: dict[str, pa.DataType] = {
    "uri": pa.string(),
    "size": pa.int64(),
    "version": pa.string(),
    "sha256": pa.string(),
}
_SCHEMA = pa.schema(_TYPES)

OnRead: TypeAlias = Callable[[str, str, Path], Callable[[], None] | None]
"""Called with the URI, the hash and the local path of an input, to read more of it.

What it returns is called once the input is known not to have changed meanwhile, to remember what was read."""


@dataclass(frozen=True, slots=True)
class Input:
    """An input with the content that a run was planned for.

    Attributes:
        uri: URI of the input.
        sha256: hash of its content; empty if any content will do.
        stat: state in which a local input had this content, so that it need not be hashed again.
    """

    uri: str
    sha256: str = ""
    stat: InputStat | None = None


class ContentHashes:
    """SHA-256 of inputs; one that has not changed since an earlier run of the store is not read again. Thread-safe.

    Args:
        store: the store that remembers the hashes.
        on_read: called for every input that had to be read, while its local copy exists.
        raise_if_cancelled: called often; stops the work by raising.
    """

    def __init__(
        self,
        store: Store,
        on_read: OnRead = lambda *_: None,
        raise_if_cancelled: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_read, self._raise_if_cancelled = on_read, raise_if_cancelled
        self._memo = PersistentDict(store, _FOLDER, ".parquet", _encode, _decode)
        self._busy: dict[str, threading.Lock] = {}
        self._states: dict[str, InputStat] = {}
        self._lock = threading.Lock()

    def of(self, uri: str, policy: InputPolicy = PUBLIC) -> str:
        """Return the hash of an input's content, hex.

        Args:
            policy: what may be read.

        Raises:
            InputError: it is missing, or changed while it was being read.
            StoreError: its file system, or the store, does not respond.
        """
        self._raise_if_cancelled()
        with self._lock:
            busy = self._busy.setdefault(uri, threading.Lock())
        with busy:
            before = stat(uri, policy)
            if uris.local_path(uri) is not None:
                self._states[uri] = before
            remembered = replace(before, uri=_memo_uri(uri))
            known = self._memo.get(remembered)
            if known is not None:
                return known
            with localised(uri, self._raise_if_cancelled, policy=policy) as path:
                content = content_hash(path, self._raise_if_cancelled)
                remember = self._on_read(uri, content, path)
            if stat(uri, policy) != before:
                raise _changed(uri)
            if remember is not None:
                remember()
            if before.version:
                self._memo.add(remembered, content)
            return content

    def input(self, uri: str, sha256: str) -> Input:
        """Return an input with the hash that `of` returned for it."""
        return Input(uri, sha256, self._states.get(uri))

    @contextmanager
    def reading(self, uri: str, content: str, policy: InputPolicy = PUBLIC) -> Iterator[Path]:
        """Yield a local path of an input, to read more of it than the hash that `of` returned.

        Raises:
            InputError: it has other content now; where it is read in place, this is known at the end.
            StoreError: it cannot be fetched.
        """
        with localised(uri, self._raise_if_cancelled, policy=policy) as path:
            in_place = uris.local_path(uri) is not None
            if not in_place and content_hash(path, self._raise_if_cancelled) != content:
                raise _changed(uri)
            yield path
        if in_place and stat(uri, policy) != self._states.get(uri):
            raise _changed(uri)

    def of_many(self, inputs: Iterable[str], policy: InputPolicy = PUBLIC) -> dict[str, str | TroupeError]:
        """Return the hash of each input, computed in parallel, or the error that reading it raised."""
        distinct = list(dict.fromkeys(inputs))
        found = map_stoppable(lambda uri: self._of_or_error(uri, policy), distinct, self._raise_if_cancelled)
        return dict(zip(distinct, found, strict=True))

    def save(self, run_id: str) -> None:
        """Write the hashes that this run computed to the store; do nothing if there are none.

        Raises:
            StoreError: they cannot be written.
        """
        self._memo.save(run_id)

    def _of_or_error(self, uri: str, policy: InputPolicy) -> str | TroupeError:
        try:
            return self.of(uri, policy)
        except Cancelled:
            raise
        except Exception as error:  # whatever is wrong with an input concerns only the jobs that need it
            return input_error(uri, error)


def _changed(uri: str) -> InputError:
    return InputError(f"{uris.redacted(uri)} changed while it was being read; run again when it is complete")


def _memo_uri(uri: str) -> str:
    """Return the URI as the store may remember it: without credentials, whose hash keeps it apart from others."""
    shown = uris.redacted(uri)
    return uri if shown == uri else f"{shown}#{hashlib.sha256(uri.encode()).hexdigest()}"


def _encode(hashes: Mapping[InputStat, str]) -> bytes:
    rows = [{"uri": s.uri, "size": s.size, "version": s.version, "sha256": h} for s, h in hashes.items()]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), sink)
    return sink.getvalue()


def _decode(data: bytes) -> dict[InputStat, str]:
    table = pq.read_table(io.BytesIO(data), columns=_SCHEMA.names)
    columns = [table.column(name).to_pylist() for name in _SCHEMA.names]
    return {InputStat(*state): content for *state, content in zip(*columns, strict=True)}


def content_hash(path: Path, raise_if_cancelled: Callable[[], None] = lambda: None) -> str:
    """Return the hash of a localised input; that of a sequence is of its pictures in their order, whatever their names.

    Args:
        path: a file, or the folder of a sequence.
        raise_if_cancelled: called for every part of some MB; stops the work by raising.
    """
    if path.is_file():
        return file_sha256(path, raise_if_cancelled)
    pictures = "".join(file_sha256(picture, raise_if_cancelled) for picture in sorted(path.iterdir()))
    return hashlib.sha256(pictures.encode()).hexdigest()
