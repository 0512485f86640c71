"""What users point at: portraits, driving clips, tracks and sound, by URI.

A clip may be a sequence of pictures, a folder or a pattern: see `catalogs.requests.image_sequences`.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from catalogs.requests.image_sequences import in_order, is_pattern
from catalogs.store import uris
from catalogs.store.error_text import reason
from catalogs.store.filesystem import download, open_filesystem
from catalogs.store.retry import retry_call
from troupe.errors import MissingInput, SettingsError, StoreError
from troupe.files import replacing
from troupe.scratch import scratch_folder

__all__ = ["InputStat", "at_hand", "files_in", "localise", "read", "stat"]

T = TypeVar("T")

_THREADS = 8


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
        MissingInput: the URI points at nothing, at a folder without pictures or with a gap, or may not be read.
        StoreError: the place it is in does not answer.
    """
    found = _look(uri)
    return found if isinstance(found, InputStat) else _together(uri, found)


def localise(uri: str, folder: Path) -> Path:
    """A local file with the content of `uri`: itself if it is local, else a copy in `folder`, which appears whole.

    For a sequence it is a folder below `folder` with nothing but the pictures, or links to them: `0000001.png` and on.

    Raises:
        MissingInput, StoreError: as `stat`.
    """
    found = _look(uri)
    path = uris.local_path(uri)
    if isinstance(found, InputStat) and path is not None:
        return path
    local = folder / hashlib.sha256(uri.encode()).hexdigest()[:16]
    if isinstance(found, InputStat):
        # The name keeps its suffix, which tools go by, and cannot collide with another input of that name.
        suffix = Path(uris.name(uri)).suffix
        local = local.with_suffix(suffix if suffix[1:].isalnum() else "")
    else:
        # What goes wrong with it is told with its name.
        local /= uris.name(uri) or "pictures"
        shutil.rmtree(local, ignore_errors=True)
    local.parent.mkdir(parents=True, exist_ok=True)
    with replacing(local) as written:
        if isinstance(found, InputStat):
            _fetch(uri, written)
        else:
            _gather(found, written)
    return local


@contextmanager
def at_hand(uri: str) -> Iterator[Path]:
    """As `localise`, inside the `with` block."""
    path = uris.local_path(uri)
    with nullcontext(Path()) if path is not None and path.is_file() else scratch_folder() as folder:
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
    return sorted(state.uri for state in _listed(uri))


def _look(uri: str) -> InputStat | list[InputStat]:
    """At a file, or at the pictures of a sequence in their order."""
    path = uris.local_path(uri)
    if is_pattern(uri) and not (path is not None and path.exists()):
        return _sequence(uri, uris.parent(uri), uris.name(uri))
    if path is not None:
        return _sequence(uri, uri) if path.is_dir() else _local(uri, path)
    files, there = _open(uri)
    info = _ask(uri, lambda: files.info(there))
    if info["type"] == "directory":
        return _sequence(uri, uri)
    if info["type"] != "file":
        raise MissingInput(f"{uris.redacted(uri)} is not a file; give the URI of one")
    return _remote(uri, files, there, info)


def _sequence(uri: str, folder: str, pattern: str = "") -> list[InputStat]:
    by_name = {uris.name(state.uri): state for state in _listed(folder)}
    return [by_name[name] for name in in_order(uri, list(by_name), pattern)]


def _listed(folder: str) -> list[InputStat]:
    """The files in a folder, but for hidden ones."""
    path = uris.local_path(folder)
    if path is not None:
        entries = _ask(folder, lambda: [entry for entry in path.absolute().iterdir() if entry.is_file()])
        return [_local(str(entry), entry) for entry in entries if not entry.name.startswith(".")]
    files, there = _open(folder)
    infos = [info for info in _ask(folder, lambda: files.ls(there, detail=True)) if info["type"] == "file"]
    states = [_remote(str(files.unstrip_protocol(info["name"])), files, info["name"], info) for info in infos]
    return [state for state in states if not uris.name(state.uri).startswith(".")]


def _local(uri: str, path: Path) -> InputStat:
    status = _ask(uri, path.stat)
    if not path.is_file():
        raise MissingInput(f"{uri} is not a file; give the URI of one")
    # The time of change tells of a file that was exchanged for one with the same size and time.
    return InputStat(uri, status.st_size, f"{status.st_mtime_ns}-{status.st_ctime_ns}")


def _remote(uri: str, files: Any, there: str, info: Mapping[str, Any]) -> InputStat:
    size = info.get("size")
    return InputStat(uri, -1 if size is None else int(size), _version(files, there, info))


def _together(uri: str, pictures: Sequence[InputStat]) -> InputStat:
    known = all(state.version for state in pictures)
    told = "".join(f"{state.uri}\n{state.size}\n{state.version}\n" for state in pictures)
    version = hashlib.sha256(told.encode()).hexdigest() if known else ""
    return InputStat(uri, sum(state.size for state in pictures), version)


def _fetch(uri: str, local: Path) -> None:
    files, there = _open(uri)
    _ask(uri, lambda: download(files, there, local))


def _gather(pictures: Sequence[InputStat], folder: Path) -> None:
    """Links to the pictures, or copies where they are not local, under numbers that tell their order."""

    def put(numbered: tuple[int, InputStat]) -> None:
        number, state = numbered
        local = folder / f"{number:07}{Path(uris.name(state.uri)).suffix.lower()}"
        path = uris.local_path(state.uri)
        if path is not None:
            local.symlink_to(path)
        else:
            _fetch(state.uri, local)

    folder.mkdir()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="picture") as threads:
        list(threads.map(put, enumerate(pictures, 1)))


def _open(uri: str) -> tuple[Any, str]:
    try:
        return open_filesystem(uri)
    except SettingsError as error:
        raise MissingInput(error.message) from error


def _ask(uri: str, call: Callable[[], T]) -> T:
    where = uris.redacted(uri)
    try:
        return retry_call(call)
    except FileNotFoundError as error:
        raise MissingInput(f"{where} does not exist; check the URI") from error
    except PermissionError as error:
        raise MissingInput(f"{where} may not be read: {reason(error)}; check its permissions or credentials") from error
    except (IsADirectoryError, NotADirectoryError) as error:
        raise MissingInput(f"{where} is not a file or folder as it should be: {reason(error)}") from error
    except Exception as error:  # file systems raise whatever their client libraries do
        raise StoreError(f"cannot read {where}: {reason(error)}; check the place it is in, and run again") from error


def _version(files: Any, there: str, info: Mapping[str, Any]) -> str:
    for name in ("ETag", "etag", "generation", "md5Hash", "content_md5", "mtime", "LastModified", "last_modified"):
        if info.get(name):
            return str(info[name])
    try:
        return str(files.modified(there))
    except Exception:  # many file systems have no such thing, each says so in its own way
        return ""
