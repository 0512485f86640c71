"""A store in a bucket, or in any other file system that fsspec supports."""

from __future__ import annotations

import errno
import mimetypes
import os
import re
import threading
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from catalogs.store import uris
from catalogs.store.backends import gcs_azure, s3
from catalogs.store.filesystem import Options, download, open_filesystem
from catalogs.store.listing import Entry, Upload

__all__ = ["EXCLUSIVE_SCHEMES", "Bucket"]

EXCLUSIVE_SCHEMES = frozenset({"memory", *s3.SCHEMES, "gs", "gcs", "abfs", "abfss", "az"})
"""Schemes of file systems that refuse to create a file twice. With any other, existence is checked before the put: of
two simultaneous writers the later one's file stays. Renders are then complete all the same, since both writers make the
same one, but two runs should not share such a store."""

_PERCENT_CODE = re.compile(r"%[0-9A-Fa-f]{2}")
_MEMORY = threading.Lock()


class Bucket:
    """Files below `url` in an fsspec file system, which is opened on first use and reopened in a forked process."""

    def __init__(self, url: str, options: Options) -> None:
        self._url, self._options = url, options
        self._scheme = uris.scheme(url)
        self._opened: tuple[int, Any, str] | None = None

    def size(self, key: str) -> int:
        """Return the size of a file in bytes."""
        files, path = self._at(key)
        info = files.info(path)
        if info["type"] != "file":
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return int(info["size"])

    def read(self, key: str) -> bytes:
        """Return the content of a file."""
        files, path = self._at(key)
        return bytes(files.cat_file(path))

    def read_range(self, key: str, start: int, stop: int) -> bytes:
        """Return the bytes [start, stop) of a file."""
        files, path = self._at(key)
        return bytes(files.cat_file(path, start=start, end=stop))

    def get(self, key: str, local: Path) -> None:
        """Copy a file to `local`."""
        files, path = self._at(key)
        download(files, path, local)

    def create(self, source: Path | bytes, key: str, nonce: str) -> bool:
        """Create a file; return False if it exists, unless it was put with the same nonce."""
        files, path = self._at(key)
        extra = {**self._content_type(key), "Metadata": {"put": nonce}} if self._scheme in s3.SCHEMES else {}
        try:
            # A file system in memory checks before it writes, and shows a file that is still being written.
            with _MEMORY if self._scheme == "memory" else nullcontext():
                if self._scheme in EXCLUSIVE_SCHEMES:
                    extra["mode"] = "create"
                elif files.exists(path):
                    return False
                self._write(files, source, path, extra)
        except Exception as error:
            if not _already_exists(error):
                raise
            return self._scheme in s3.SCHEMES and files.metadata(path).get("put") == nonce
        return True

    def replace(self, source: Path | bytes, key: str) -> None:
        """Create a file, or replace it if it exists."""
        files, path = self._at(key)
        self._write(files, source, path, self._content_type(key))

    def entries(self, prefix: str) -> list[Entry]:
        """List all files below a folder, with sizes and times."""
        files, path = self._at(prefix)
        root = self._at("")[1].rstrip("/") + "/"
        return [
            Entry(name.removeprefix(root), int(info["size"] or 0), _modified(info))
            for name, info in files.find(path, detail=True).items()
            if not name.endswith("/")
        ]

    def uploads(self) -> list[Upload]:
        """List unfinished multipart uploads; only S3 has them."""
        return s3.uploads(*self._at("")) if self._scheme in s3.SCHEMES else []

    def abort(self, upload: Upload) -> None:
        """Abort a multipart upload."""
        files, path = self._at(upload.key)
        s3.abort(files, path, upload)

    def names(self) -> list[str]:
        """List the names at the top."""
        files, path = self._at("")
        return [name.rstrip("/").rpartition("/")[2] for name in files.ls(path, detail=False)]

    def list(self, prefix: str) -> list[str]:
        """List the keys of all files below a folder."""
        files, path = self._at(prefix)
        root = self._at("")[1].rstrip("/") + "/"
        return [name.removeprefix(root) for name in files.find(path) if not name.endswith("/")]

    def delete(self, key: str) -> None:
        """Delete a file."""
        files, path = self._at(key)
        files.rm_file(path)

    def delta(self, key: str) -> tuple[str, dict[str, str]] | None:
        """Return URI and storage options of the deltalake table at `key`; None if deltalake does not support it."""
        path = f"{self._url.split('://', 1)[1].rstrip('/')}/{key}"
        if _PERCENT_CODE.search(path):  # deltalake 1.6 writes such keys as they are, and reads them decoded
            return None
        path = quote(path, safe="/@")  # deltalake decodes its URIs; fsspec takes keys as they are
        if self._scheme in s3.SCHEMES:
            files, _ = self._at("")
            return f"s3://{path}", s3.delta_options(files)
        if self._scheme in gcs_azure.SCHEMES:
            return gcs_azure.delta_place(self._scheme, f"{self._scheme}://{path}", self._options)
        return None

    def _write(self, files: Any, source: Path | bytes, path: str, extra: Options) -> None:
        if isinstance(source, bytes) or self._scheme == "memory":
            files.pipe_file(path, source if isinstance(source, bytes) else source.read_bytes(), **extra)
        else:
            files.put_file(str(source), path, **extra)

    def _content_type(self, key: str) -> dict[str, Any]:
        """Return the argument that lets S3 serve a report's page and videos to browsers with the right type."""
        mime_type = mimetypes.guess_type(key)[0]
        return {"ContentType": mime_type} if mime_type and self._scheme in s3.SCHEMES else {}

    def _at(self, key: str) -> tuple[Any, str]:
        # The clients of remote stores keep connections and threads, which do not survive a fork.
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), *open_filesystem(self._url, self._options))
        _, files, root = self._opened
        return files, f"{root.rstrip('/')}/{key}" if key else root


def _modified(info: Mapping[str, Any]) -> datetime | None:
    """Return when a file was put; each file system names and types the value differently."""
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


def _already_exists(error: Exception) -> bool:
    """Return whether a conditional put was refused because the file exists. Not every S3 names the condition."""
    response = getattr(error.__cause__, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return isinstance(error, FileExistsError) or code in ("PreconditionFailed", "412")
