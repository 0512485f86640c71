"""What users point at: portraits, driving clips, tracks and sound, by URI."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from catalogs import uris
from catalogs.retries import again
from catalogs.store import download, open_filesystem, reason
from troupe.errors import MissingInput, SettingsError, StoreError
from troupe.scratch import scratch_folder

__all__ = ["InputStat", "at_hand", "files_in", "localise", "read", "stat"]

T = TypeVar("T")


@dataclass(frozen=True)
class InputStat:
    """What tells one state of an input from another without reading it.

    Attributes:
        uri: where.
        size: in bytes; -1 if the server does not say.
        version: its ETag or times of change; empty if it has none, so that only its content tells.
    """

    uri: str
    size: int
    version: str


def stat(uri: str) -> InputStat:
    """Look at an input.

    Raises:
        MissingInput: the URI points at nothing, at a folder, or may not be read.
        StoreError: the place it is in does not answer.
    """
    path = uris.local_path(uri)
    if path is not None:
        status = _ask(uri, path.stat)
        if not path.is_file():
            raise MissingInput(f"{uri} is not a file; give the URI of one")
        # The time of change tells of a file that was exchanged for one with the same size and time.
        return InputStat(uri, status.st_size, f"{status.st_mtime_ns}-{status.st_ctime_ns}")
    files, there = _open(uri)
    info = _ask(uri, lambda: files.info(there))
    if info["type"] != "file":
        raise MissingInput(f"{uris.shown(uri)} is not a file; give the URI of one")
    size = info.get("size")
    return InputStat(uri, -1 if size is None else int(size), _version(files, there, info))


def localise(uri: str, folder: Path) -> Path:
    """A local file with the content of `uri`: itself if it is local, else a copy in `folder`, which appears whole.

    Raises:
        MissingInput: the URI points at nothing, at a folder, or may not be read.
        StoreError: the place it is in does not answer.
    """
    stat(uri)
    path = uris.local_path(uri)
    if path is not None:
        return path
    # The name keeps its suffix, which tools go by, and cannot collide with another input of that name.
    suffix = Path(uris.name(uri)).suffix
    local = folder / f"{hashlib.sha256(uri.encode()).hexdigest()[:16]}{suffix if suffix[1:].isalnum() else ''}"
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{uuid4().hex}.part"
    files, there = _open(uri)
    try:
        _ask(uri, lambda: download(files, there, part))
        part.replace(local)
    finally:
        part.unlink(missing_ok=True)
    return local


@contextmanager
def at_hand(uri: str) -> Iterator[Path]:
    """As `localise`, inside the `with` block."""
    with nullcontext(Path()) if uris.local_path(uri) is not None else scratch_folder() as folder:
        yield localise(uri, folder)


def read(uri: str) -> bytes:
    """All of a small input, such as a jobs file.

    Raises:
        MissingInput, StoreError: as `stat`.
    """
    path = uris.local_path(uri)
    if path is not None:
        return _ask(uri, path.read_bytes)
    files, there = _open(uri)
    return bytes(_ask(uri, lambda: files.cat_file(there)))


def files_in(uri: str) -> list[str]:
    """URIs of the files in a folder, not below it, sorted by name; hidden ones left out.

    Raises:
        MissingInput: there is no such folder.
        StoreError: the place it is in does not answer.
    """
    path = uris.local_path(uri)
    if path is not None:
        found = _ask(uri, lambda: [str(entry.absolute()) for entry in path.iterdir() if entry.is_file()])
    else:
        files, there = _open(uri)
        entries = _ask(uri, lambda: files.ls(there, detail=True))
        found = [str(files.unstrip_protocol(entry["name"])) for entry in entries if entry["type"] == "file"]
    return sorted(entry for entry in found if not uris.name(entry).startswith("."))


def _open(uri: str) -> tuple[Any, str]:
    try:
        return open_filesystem(uri)
    except SettingsError as error:
        raise MissingInput(error.message) from error


def _ask(uri: str, call: Callable[[], T]) -> T:
    where = uris.shown(uri)
    try:
        return again(call)
    except FileNotFoundError as error:
        raise MissingInput(f"{where} does not exist; check the URI") from error
    except PermissionError as error:
        raise MissingInput(f"{where} may not be read: {reason(error)}; check its permissions or credentials") from error
    except (IsADirectoryError, NotADirectoryError) as error:
        raise MissingInput(f"{where} is not a file or folder as it should be: {reason(error)}") from error
    except Exception as error:  # file systems raise whatever their client libraries do
        raise StoreError(f"cannot read {where}: {reason(error)}; check the place it is in, and run again") from error


def _version(files: Any, there: str, info: dict[str, Any]) -> str:
    for name in ("ETag", "etag", "generation", "md5Hash", "content_md5", "mtime", "LastModified", "last_modified"):
        if info.get(name):
            return str(info[name])
    try:
        return str(files.modified(there))
    except Exception:  # many file systems have no such thing, each says so in its own way
        return ""
