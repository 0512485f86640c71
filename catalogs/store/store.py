"""Where renders, caches and the catalog live: a folder, a bucket, or any other place fsspec knows.

The one module that opens file systems; everything else names files by key (in a store) or by URI.
"""

from __future__ import annotations

import errno
import hashlib
import mimetypes
import os
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar
from uuid import uuid4

import fsspec  # type: ignore[import-untyped]

from catalogs.store import gcs_azure as clouds
from catalogs.store import s3, uris
from catalogs.store.folder import Folder
from catalogs.store.listing import Entry, Upload
from catalogs.store.retry import again, transient
from troupe.errors import NoSpace, SettingsError, StoreError
from troupe.scratch import scratch_folder

__all__ = ["Put", "Store", "download", "file_hash", "open_filesystem", "open_store", "reason"]

Options: TypeAlias = Mapping[str, Any]
T = TypeVar("T")

EXCLUSIVE = frozenset({"memory", *s3.SCHEMES, "gs", "gcs", "abfs", "abfss", "az"})
"""Kinds of stores that refuse to create a file twice, beside local folders. With any other, a look comes before the
put: of two writers in the same moment the later one's file stays. Renders are then whole all the same, since both
make the same one, but two runs should not share such a store."""

FULL = (errno.ENOSPC, errno.EDQUOT)

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "abfs": "abfs", "abfss": "abfs", "az": "abfs"}
"""What brings the file system of a scheme."""

_KEY = re.compile(r"[^/\\\x00-\x1f]+(/[^/\\\x00-\x1f]+)*")
# What deltalake 1.6 takes for something else in a local path: it decodes %20 and refuses the others.
_NOT_FOR_DELTA = re.compile(r"[\[\]\\^|\x00-\x1f]|%[0-9A-Fa-f]{2}")


@dataclass(frozen=True)
class Put:
    """A file that is in the store.

    Attributes:
        key: where.
        bytes: its size there.
        sha256: of what is there, hex: of the file given if this put created it, else of the file that was there first.
        created: whether this put created it.
    """

    key: str
    bytes: int
    sha256: str
    created: bool


class _Place(Protocol):
    """What a kind of store can do. A missing file is a FileNotFoundError; other errors are its own."""

    def size(self, key: str) -> int: ...
    def read(self, key: str) -> bytes: ...
    def get(self, key: str, local: Path) -> None: ...
    def create(self, source: Path | bytes, key: str, nonce: str) -> bool: ...
    def replace(self, source: Path | bytes, key: str) -> None: ...
    def entries(self, prefix: str) -> list[Entry]: ...
    def uploads(self) -> list[Upload]: ...
    def abort(self, upload: Upload) -> None: ...
    def list(self, prefix: str) -> list[str]: ...
    def delete(self, key: str) -> None: ...


class Store:
    """Files by key, written once; safe to use from threads, and to send to other processes, which open it anew.

    Every method tries up to three times while trouble looks as if it would pass.

    Attributes:
        url: what names it; never holds credentials.
        puts: files that this object created or replaced.

    Raises:
        StoreError: from every method: the store could not do it. The message says which file, why and what to do.
    """

    def __init__(self, url: str, options: Options, place: _Place) -> None:
        self.url = url
        self.puts = 0
        self._options = dict(options)
        self._place = place
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Callable[..., Store], tuple[str, Options]]:
        return open_store, (self.url, self._options)

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def check(self) -> None:
        """Find out now, not after an hour, whether files can be written, read back, protected and deleted."""
        key, data = f".check-{uuid4().hex}", b"troupe"
        self._do("write to", self.uri(key), lambda: self._place.create(data, key, uuid4().hex))
        try:
            if self._do("read back from", self.uri(key), lambda: self._place.read(key)) != data:
                raise StoreError(f"{self.uri(key)} does not read back as written; use another store than {self.url}")
            if self._do("write to", self.uri(key), lambda: self._place.create(b"again", key, uuid4().hex)):
                raise StoreError(
                    f"{self.url} lets a second writer overwrite a file (it ignores If-None-Match), so that two runs "
                    "could damage each other; use a store with conditional puts"
                )
        finally:
            self._do("delete from", self.uri(key), lambda: self._place.delete(key))

    @property
    def exclusive(self) -> bool:
        """Whether the store itself refuses to create a file twice; see `EXCLUSIVE`."""
        return uris.scheme(self.url) in ("", *EXCLUSIVE)

    def uri(self, key: str) -> str:
        """The absolute URI of a key; a plain path in a local folder."""
        return f"{self.url}{'' if self.url.endswith('/') else '/'}{_checked(key)}"

    def exists(self, key: str) -> bool:
        """Whether there is such a file."""

        def look() -> bool:
            try:
                self._place.size(key)
            except FileNotFoundError:
                return False
            return True

        return self._do("look for", self.uri(key), look)

    def read(self, key: str) -> bytes:
        """All of a small file."""
        return self._do("read", self.uri(key), lambda: self._place.read(key))

    def get(self, key: str, local: Path) -> None:
        """Copy a file to `local`, which appears whole or not at all."""
        self._do("read", self.uri(key), lambda: _fetch(lambda part: self._place.get(key, part), local))

    def put(self, local: Path, key: str) -> Put:
        """Put a file where there is none yet; what is there is never overwritten."""
        return self._create(local, key, local.stat().st_size, file_hash(local))

    def put_bytes(self, data: bytes, key: str) -> Put:
        """As `put`, from memory."""
        return self._create(data, key, len(data), hashlib.sha256(data).hexdigest())

    def replace(self, source: Path | bytes, key: str) -> None:
        """Put a file whether or not there is one: for what sums up a run, never for caches and renders."""
        self._do("write", self.uri(key), lambda: self._place.replace(source, key))
        self._verify(key, len(source) if isinstance(source, bytes) else source.stat().st_size)
        self._count()

    def entries(self, prefix: str = "") -> list[Entry]:
        """All files below the folder `prefix`, sorted, with sizes and times; in a folder, half-written ones, too."""
        where = self.uri(prefix) if prefix else self.url
        return sorted(self._do("list", where, lambda: self._place.entries(prefix)), key=lambda entry: entry.key)

    def uploads(self) -> list[Upload]:
        """Uploads in parts that are under way, or that whoever made them never finished; only S3 has such."""
        return self._do("list the unfinished uploads of", self.url, self._place.uploads)

    def abort(self, upload: Upload) -> None:
        """End an upload in parts; nothing if it has ended."""

        def end() -> None:
            with suppress(FileNotFoundError):
                self._place.abort(upload)

        self._do("abort the upload of", self.uri(upload.key), end)

    def list(self, prefix: str = "") -> list[str]:
        """Keys of all files below the folder `prefix`, sorted; empty if there is no such folder."""
        return sorted(self._do("list", self.uri(prefix) if prefix else self.url, lambda: self._place.list(prefix)))

    def delete(self, key: str) -> None:
        """Remove a file; nothing if there is none."""

        def remove() -> None:
            with suppress(FileNotFoundError):
                self._place.delete(key)

        self._do("delete", self.uri(key), remove)

    def delta(self, key: str = "catalog") -> tuple[str, dict[str, str]] | None:
        """URI and storage options for a deltalake table at `key`; None where deltalake cannot go."""
        uri = self.uri(key)
        if not uris.scheme(self.url):
            return None if _NOT_FOR_DELTA.search(uri) else (uri, {})
        if uris.scheme(self.url) in s3.SCHEMES:
            return "s3://" + uri.split("://", 1)[1], s3.delta_options(self._options)
        if uris.scheme(self.url) in clouds.SCHEMES:
            return clouds.delta_place(uris.scheme(self.url), uri, self._options)
        return None

    def _create(self, source: Path | bytes, key: str, size: int, sha256: str) -> Put:
        # The nonce tells, after an answer that was lost on the way, whether the file that is there is ours.
        nonce = uuid4().hex
        if self._do("write", self.uri(key), lambda: self._place.create(source, key, nonce)):
            self._verify(key, size)
            self._count()
            return Put(key, size, sha256, created=True)
        with scratch_folder() as folder:
            there = folder / "there"
            self.get(key, there)
            return Put(key, there.stat().st_size, file_hash(there), created=False)

    def _verify(self, key: str, size: int) -> None:
        def late(error: Exception) -> bool:
            return isinstance(error, FileNotFoundError) or transient(error)

        found = self._do("verify", self.uri(key), lambda: self._place.size(key), late)
        if found != size:
            raise StoreError(f"{self.uri(key)} has {found} bytes after {size} were written; run again")

    def _count(self) -> None:
        with self._lock:
            self.puts += 1

    def _do(self, action: str, where: str, call: Callable[[], T], worth: Callable[[Exception], bool] = transient) -> T:
        try:
            return again(call, worth)
        except Exception as error:  # stores raise whatever their client libraries do
            full = isinstance(error, OSError) and error.errno in FULL
            kind = NoSpace if full else StoreError
            raise kind(f"cannot {action} {where}: {reason(error)}; {_advice(error, self.url)}") from error


class _Bucket:
    """A store behind an fsspec file system, opened when first used and anew in a forked process."""

    def __init__(self, url: str, options: Options) -> None:
        self._url, self._options = url, options
        self._kind = uris.scheme(url)
        self._opened: tuple[int, Any, str] | None = None

    def size(self, key: str) -> int:
        files, path = self._at(key)
        info = files.info(path)
        if info["type"] != "file":
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return int(info["size"])

    def read(self, key: str) -> bytes:
        files, path = self._at(key)
        return bytes(files.cat_file(path))

    def get(self, key: str, local: Path) -> None:
        files, path = self._at(key)
        download(files, path, local)

    def create(self, source: Path | bytes, key: str, nonce: str) -> bool:
        files, path = self._at(key)
        extra = {**self._s3_extra(key), "Metadata": {"put": nonce}} if self._kind in s3.SCHEMES else {}
        try:
            # A file system in memory checks before it writes, and shows a file that is still being written.
            with _MEMORY if self._kind == "memory" else nullcontext():
                if self._kind in EXCLUSIVE:
                    extra["mode"] = "create"
                elif files.exists(path):
                    return False
                self._write(files, source, path, extra)
        except Exception as error:
            if not _taken(error):
                raise
            return self._kind in s3.SCHEMES and files.metadata(path).get("put") == nonce
        return True

    def replace(self, source: Path | bytes, key: str) -> None:
        files, path = self._at(key)
        self._write(files, source, path, self._s3_extra(key))

    def entries(self, prefix: str) -> list[Entry]:
        files, path = self._at(prefix)
        root = self._at("")[1].rstrip("/") + "/"
        found = files.find(path, detail=True)
        return [
            Entry(name.removeprefix(root), int(info["size"] or 0), _modified(info))
            for name, info in found.items()
            if not name.endswith("/")
        ]

    def uploads(self) -> list[Upload]:
        return s3.uploads(*self._at("")) if self._kind in s3.SCHEMES else []

    def abort(self, upload: Upload) -> None:
        files, path = self._at(upload.key)
        s3.abort(files, path, upload)

    def list(self, prefix: str) -> list[str]:
        files, path = self._at(prefix)
        root = self._at("")[1].rstrip("/") + "/"
        return [found.removeprefix(root) for found in files.find(path) if not found.endswith("/")]

    def delete(self, key: str) -> None:
        files, path = self._at(key)
        files.rm_file(path)

    def _write(self, files: Any, source: Path | bytes, path: str, extra: Options) -> None:
        if isinstance(source, bytes) or self._kind == "memory":
            files.pipe_file(path, source if isinstance(source, bytes) else source.read_bytes(), **extra)
        else:
            files.put_file(str(source), path, **extra)

    def _s3_extra(self, key: str) -> dict[str, Any]:
        """So that a bucket can serve the page of a report, and its videos, as what they are."""
        kind = mimetypes.guess_type(key)[0]
        return {"ContentType": kind} if kind and self._kind in s3.SCHEMES else {}

    def _at(self, key: str) -> tuple[Any, str]:
        # The clients of remote stores keep connections and threads, which do not survive a fork.
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), *open_filesystem(self._url, self._options))
        _, files, root = self._opened
        return files, f"{root.rstrip('/')}/{key}" if key else root


_MEMORY = threading.Lock()


def open_store(url: str, options: Options | None = None) -> Store:
    """The store at `url`: a folder, or any fsspec URL. Nothing is read or written yet; `Store.check` does.

    Args:
        url: a path, `s3://bucket/folder`, `memory://name`, ...
        options: of the fsspec file system; S3's come from the environment (AWS_ACCESS_KEY_ID,
            AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, AWS_REGION, ...) where they are not given.

    Raises:
        SettingsError: the URL cannot name a store.
    """
    if not url.strip() or "\0" in url:
        raise SettingsError("the store's URL is empty; give a folder or a URL such as s3://bucket/folder")
    path = uris.local_path(url)
    if path is not None:
        root = path.expanduser().resolve()
        return Store(str(root), {}, Folder(root))
    url = re.sub(r"(?<=[^:/])/+$", "", url)
    bucket = _Bucket(url, options or {})
    _filesystem_class(url)
    return Store(url, options or {}, bucket)


def open_filesystem(uri: str, options: Options | None = None) -> tuple[Any, str]:
    """The fsspec file system that `uri` is on, and the path there.

    Raises:
        SettingsError: the URI carries credentials, or nothing here knows its scheme.
    """
    kind = _filesystem_class(uri)
    options = dict(options or {})
    if uris.scheme(uri) in s3.SCHEMES:
        options = s3.fsspec_options(options)
    try:
        files = kind(**options)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{uri} cannot be opened: {reason(error)}") from error
    if uris.scheme(uri) in s3.SCHEMES:
        files.retries = 1  # botocore's retries and ours are enough; a third layer makes minutes of them
    return files, str(kind._strip_protocol(uri))


def _filesystem_class(uri: str) -> Any:
    if uris.credentials(uri):
        raise SettingsError(f"{uris.shown(uri)} carries credentials; give them by environment variables instead")
    kind = uris.scheme(uri) or "file"
    try:
        return fsspec.get_filesystem_class(kind)
    except ImportError as error:
        extra = f"pip install 'troupe[{EXTRAS[kind]}]'" if kind in EXTRAS else str(error)
        raise SettingsError(f"{uri} needs a package that is not installed: {extra}") from error
    except ValueError:
        raise SettingsError(f"{uri}: no kind of store is called {kind}://") from None


def file_hash(path: Path) -> str:
    """SHA-256 of a local file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def reason(error: BaseException) -> str:
    """What an error of a client library says, on one line and without colours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)) or type(error).__name__
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = error.strerror
    elif isinstance(error, FileNotFoundError) and "exist" not in text:
        text = "No such file"  # s3fs says the path alone
    text = " ".join(text.replace("↳", "").split())
    return text if len(text) <= 300 else text[:300] + "…"


def _fetch(download: Callable[[Path], None], local: Path) -> None:
    local.parent.mkdir(parents=True, exist_ok=True)
    part = local.parent / f".{uuid4().hex}.part"
    try:
        download(part)
        part.replace(local)
    finally:
        part.unlink(missing_ok=True)


def download(files: Any, path: str, local: Path) -> None:
    """Copy a file of an fsspec file system to `local`."""
    if files.protocol == "memory":
        # There, an open file is one object with one position, whoever reads it.
        local.write_bytes(files.cat_file(path))
    else:
        files.get_file(path, str(local))


def _modified(info: Mapping[str, Any]) -> datetime | None:
    """When a file was put, in the words of the many kinds of stores."""
    for name in ("LastModified", "last_modified", "mtime", "updated", "created"):
        match info.get(name):
            case datetime() as time:
                return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
            case int() | float() as seconds:
                return datetime.fromtimestamp(seconds, UTC)
            case str() as text:
                with suppress(ValueError):
                    return datetime.fromisoformat(text).astimezone(UTC)
    return None


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key) or any(part in (".", "..") for part in key.split("/")):
        raise ValueError(f"{key!r} is no key of a store")
    return key


def _taken(error: Exception) -> bool:
    """Whether a conditional put was refused because the file exists. Not every S3 names the condition."""
    answer = getattr(error.__cause__, "response", None)
    code = answer.get("Error", {}).get("Code") if isinstance(answer, dict) else None
    return isinstance(error, FileExistsError) or code in ("PreconditionFailed", "412")


def _advice(error: Exception, url: str) -> str:
    """What to do about it."""
    kind = type(error).__name__
    if kind in ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"):
        return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    if isinstance(error, PermissionError):
        return f"check the credentials and what they may do in {url}" if uris.scheme(url) else "check its permissions"
    if isinstance(error, FileNotFoundError):
        return "check that the bucket and the file exist" if uris.scheme(url) else "check the path"
    if isinstance(error, NotADirectoryError | FileExistsError):
        return "a file is where a folder should be; choose another store"
    if isinstance(error, OSError) and error.errno in FULL:
        return "make room there and run again"
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        return "choose a store that can be written"
    if isinstance(error, NotImplementedError):
        return "choose another kind of store"
    return "check the endpoint and the network, and run again" if uris.scheme(url) else "run again"
