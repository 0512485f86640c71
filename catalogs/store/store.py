"""Where renders, caches and the catalog are stored: a folder, a bucket, or any other file system fsspec supports."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar
from uuid import uuid4

from catalogs.store import uris
from catalogs.store.backends.bucket import EXCLUSIVE_SCHEMES, Bucket
from catalogs.store.backends.folder import Folder
from catalogs.store.error_text import DISK_FULL, advice, reason
from catalogs.store.filesystem import Options, filesystem_class
from catalogs.store.listing import Entry, Upload
from catalogs.store.retry import is_transient, retry_call
from troupe.errors import NoSpace, SettingsError, StoreError
from troupe.files import file_sha256, replacing
from troupe.process.scratch import scratch_folder

__all__ = ["Put", "Store", "open_store"]

T = TypeVar("T")

_KEY = re.compile(r"[^/\\\x00-\x1f]+(/[^/\\\x00-\x1f]+)*")


@dataclass(frozen=True)
class Put:
    """The outcome of a put.

    Attributes:
        key: key of the file.
        bytes: size in the store.
        sha256: hash of the content in the store, hex: of the given file if this put created it, else of the existing
            file.
        created: whether this put created the file.
    """

    key: str
    bytes: int
    sha256: str
    created: bool


class _Backend(Protocol):
    """Operations of one kind of store. A missing file is a FileNotFoundError; other errors are those of its client."""

    def size(self, key: str) -> int: ...
    def read(self, key: str) -> bytes: ...
    def read_range(self, key: str, start: int, stop: int) -> bytes: ...
    def get(self, key: str, local: Path) -> None: ...
    def create(self, source: Path | bytes, key: str, nonce: str) -> bool: ...
    def replace(self, source: Path | bytes, key: str) -> None: ...
    def entries(self, prefix: str) -> list[Entry]: ...
    def uploads(self) -> list[Upload]: ...
    def abort(self, upload: Upload) -> None: ...
    def names(self) -> list[str]: ...
    def list(self, prefix: str) -> list[str]: ...
    def delete(self, key: str) -> None: ...
    def delta(self, key: str) -> tuple[str, dict[str, str]] | None: ...


class Store:
    """Files by key, written once. Thread-safe; can be pickled, and is reopened where it is unpickled.

    Every method is tried up to three times if it fails with a transient error.

    Attributes:
        url: URL of the store, without credentials.

    Raises:
        StoreError: from every method: the operation failed. The message says on which file, why and what to do.
    """

    def __init__(self, url: str, options: Options, backend: _Backend) -> None:
        self.url = url
        self._options = dict(options)
        self._backend = backend

    def __reduce__(self) -> tuple[Callable[..., Store], tuple[str, Options]]:
        return open_store, (self.url, self._options)

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def check(self) -> None:
        """Check up front, rather than after an hour, that files can be written, read, protected and deleted."""
        key, data = f".check-{uuid4().hex}", b"troupe"
        self._do("write to", self.uri(key), lambda: self._backend.create(data, key, uuid4().hex))
        try:
            if self._do("read back from", self.uri(key), lambda: self._backend.read(key)) != data:
                raise StoreError(f"{self.uri(key)} does not read back as written; use another store than {self.url}")
            if self._do("write to", self.uri(key), lambda: self._backend.create(b"again", key, uuid4().hex)):
                raise StoreError(
                    f"{self.url} lets a second writer overwrite a file (it ignores If-None-Match), so that two runs "
                    "could damage each other; use a store with conditional puts"
                )
        finally:
            self._do("delete from", self.uri(key), lambda: self._backend.delete(key))

    @property
    def exclusive(self) -> bool:
        """Whether the store itself refuses to create a file twice; see `EXCLUSIVE_SCHEMES`."""
        return uris.scheme(self.url) in ("", *EXCLUSIVE_SCHEMES)

    def uri(self, key: str) -> str:
        """Return the absolute URI of a key; a plain path in a local folder."""
        return f"{self.url}{'' if self.url.endswith('/') else '/'}{_checked(key)}"

    def command(self, words: str) -> str:
        """Return a command for this store, to be named in a message: `troupe runs --store URL`."""
        return f"`troupe {words} --store {shlex.quote(self.url)}`"

    def exists(self, key: str) -> bool:
        """Return whether the file exists."""
        return self.size(key) is not None

    def size(self, key: str) -> int | None:
        """Return the size of a file in bytes, None if it does not exist."""

        def find() -> int | None:
            try:
                return self._backend.size(key)
            except FileNotFoundError:
                return None

        return self._do("look for", self.uri(key), find)

    def read(self, key: str) -> bytes:
        """Return the content of a small file."""
        return self._do("read", self.uri(key), lambda: self._backend.read(key))

    def read_range(self, key: str, start: int, stop: int) -> bytes:
        """Return the bytes [start, stop) of a file, fewer at its end; links are not followed."""
        return self._do("read", self.uri(key), lambda: self._backend.read_range(key, start, stop))

    def get(self, key: str, local: Path) -> None:
        """Copy a file to `local`, which appears whole or not at all."""

        def fetch() -> None:
            local.parent.mkdir(parents=True, exist_ok=True)
            with replacing(local) as written:
                self._backend.get(key, written)

        self._do("read", self.uri(key), fetch)

    def sha256(self, key: str) -> str:
        """Return the hash of a file's content, all of which is read."""
        with scratch_folder() as folder:
            copy = folder / "file"
            self.get(key, copy)
            return file_sha256(copy)

    def put(self, local: Path, key: str, sha256: str = "") -> Put:
        """Create a file, whose hash may be known already; an existing one is never overwritten."""
        return self._create(local, key, local.stat().st_size, sha256 or file_sha256(local))

    def put_bytes(self, data: bytes, key: str) -> Put:
        """Create a file from memory; an existing one is never overwritten."""
        return self._create(data, key, len(data), hashlib.sha256(data).hexdigest())

    def replace(self, source: Path | bytes, key: str) -> None:
        """Create a file, or replace it if it exists: for what sums up a run, never for caches and renders."""
        self._do("write", self.uri(key), lambda: self._backend.replace(source, key))
        self._verify(key, len(source) if isinstance(source, bytes) else source.stat().st_size)

    def entries(self, prefix: str = "") -> list[Entry]:
        """List all files below the folder `prefix`, sorted by key; in a local folder, half-written ones too."""
        where = self.uri(prefix) if prefix else self.url
        return sorted(self._do("list", where, lambda: self._backend.entries(prefix)), key=lambda entry: entry.key)

    def uploads(self) -> list[Upload]:
        """List the multipart uploads that are in progress or were abandoned; only S3 has them."""
        return self._do("list the unfinished uploads of", self.url, self._backend.uploads)

    def abort(self, upload: Upload) -> None:
        """Abort a multipart upload; do nothing if it has ended."""

        def abort_existing() -> None:
            with suppress(FileNotFoundError):
                self._backend.abort(upload)

        self._do("abort the upload of", self.uri(upload.key), abort_existing)

    def names(self) -> list[str]:
        """List the names of the files and folders at the top; empty if the store does not exist."""

        def find() -> list[str]:
            try:
                return self._backend.names()
            except FileNotFoundError:
                return []

        return sorted(self._do("list", self.url, find))

    def list(self, prefix: str = "") -> list[str]:
        """List the keys of all files below the folder `prefix`, sorted; empty if the folder does not exist."""
        return sorted(self._do("list", self.uri(prefix) if prefix else self.url, lambda: self._backend.list(prefix)))

    def delete(self, key: str) -> None:
        """Delete a file; do nothing if it does not exist."""

        def delete_existing() -> None:
            with suppress(FileNotFoundError):
                self._backend.delete(key)

        self._do("delete", self.uri(key), delete_existing)

    def delta(self, key: str = "catalog") -> tuple[str, dict[str, str]] | None:
        """Return URI and storage options for a deltalake table at `key`; None if deltalake does not support the URL."""
        self.uri(key)  # refuses an invalid key
        return self._do("open the table of", self.url, lambda: self._backend.delta(key))

    def _create(self, source: Path | bytes, key: str, size: int, sha256: str) -> Put:
        # If the answer to a put is lost, the nonce shows whether the file that now exists is ours.
        nonce = uuid4().hex
        if self._do("write", self.uri(key), lambda: self._backend.create(source, key, nonce)):
            self._verify(key, size)
            return Put(key, size, sha256, created=True)
        with scratch_folder() as folder:
            existing = folder / "existing"
            self.get(key, existing)
            return Put(key, existing.stat().st_size, file_sha256(existing), created=False)

    def _verify(self, key: str, size: int) -> None:
        def missing_or_transient(error: Exception) -> bool:
            return isinstance(error, FileNotFoundError) or is_transient(error)

        found = self._do("verify", self.uri(key), lambda: self._backend.size(key), missing_or_transient)
        if found != size:
            raise StoreError(f"{self.uri(key)} has {found} bytes after {size} were written; run again")

    def _do(
        self, action: str, where: str, call: Callable[[], T], retryable: Callable[[Exception], bool] = is_transient
    ) -> T:
        try:
            return retry_call(call, retryable)
        except Exception as error:  # client libraries raise errors of any class
            full = isinstance(error, OSError) and error.errno in DISK_FULL
            kind = NoSpace if full else StoreError
            raise kind(f"cannot {action} {where}: {reason(error)}; {advice(error, self.url)}") from error


def open_store(url: str | os.PathLike[str], options: Options | None = None) -> Store:
    """Open the store at `url`: a folder, or any fsspec URL. Nothing is read or written yet; `Store.check` does.

    Args:
        url: a path, `s3://bucket/folder`, `memory://name`, ...
        options: arguments of the fsspec file system. S3's default to the environment (AWS_ACCESS_KEY_ID,
            AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, AWS_REGION, ...).

    Raises:
        SettingsError: the URL cannot name a store.
    """
    url = os.fspath(url) if isinstance(url, os.PathLike) else url
    if not isinstance(url, str) or not url.strip() or "\0" in url:
        is_what = "empty" if isinstance(url, str) else repr(url)
        raise SettingsError(f"the store's URL is {is_what}; give a folder or a URL such as s3://bucket/folder")
    path = uris.local_path(url)
    if path is not None:
        root = path.expanduser().resolve()
        with suppress(PermissionError):  # which the first use reports
            if root.is_file():
                raise SettingsError(f"the store {root} is a file; use a folder, or a URL such as s3://bucket/folder")
        return Store(str(root), {}, Folder(root))
    url = re.sub(r"(?<=[^:/])/+$", "", url)
    filesystem_class(url)  # refuses an unknown scheme now rather than at first use
    return Store(url, options or {}, Bucket(url, options or {}))


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key) or any(part in (".", "..") for part in key.split("/")):
        raise ValueError(f"{key!r} is not a valid key of a store")
    return key
