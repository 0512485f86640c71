"""Inputs of jobs by URI: portraits, driving clips, tracks and audio.

A clip may be an image sequence, given as a folder or a pattern: see `catalogs.requests.image_sequences`.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import aiohttp

from catalogs.requests.access.guarded_http import guarded_client
from catalogs.requests.access.http_errors import asked_pause, http_error, is_busy
from catalogs.requests.access.input_policy import PUBLIC, InputPolicy
from catalogs.requests.access.limits import MAX_BYTES, MAX_SECONDS, MAX_TABLE_BYTES, limit
from catalogs.requests.image_sequences import is_pattern, ordered_pictures
from catalogs.store import uris
from catalogs.store.error_text import DISK_FULL, reason
from catalogs.store.filesystem import download, open_filesystem
from catalogs.store.retry import is_transient, retry_call
from troupe.errors import (
    InputError,
    MissingInput,
    NoSpace,
    NotAllowed,
    SettingsError,
    TooLarge,
    TroupeError,
    UnreachableInput,
)
from troupe.files import missing_advice, replacing
from troupe.process.scratch import scratch_folder
from troupe.process.signals import map_stoppable

__all__ = [
    "InputStat",
    "content_type",
    "files_in",
    "input_error",
    "localise",
    "localised",
    "opened",
    "read",
    "stat",
]

T = TypeVar("T")

_KERNEL_FOLDERS = ("/proc", "/sys")
"""Folders whose files are views into the kernel: some have no end, and reading others fails or has effects."""


_ANSWER_SECONDS = 30
"""Seconds that a server may take to accept a connection, or to send the next bytes."""
_LONGEST_NAME = 200
"""Bytes of the name of a copy; file systems allow 255."""
_LONGEST_PAUSE = 60
"""Seconds to wait at most before the next attempt, if a busy server asks for it."""


@dataclass(frozen=True)
class InputStat:
    """The state of an input: a change of the content changes it, and it is known without reading the content.

    Attributes:
        uri: URI of the input.
        size: size in bytes; -1 if the server does not report it.
        version: ETag or modification times; empty if there are none, so that only the content shows a change.
    """

    uri: str
    size: int
    version: str


def stat(uri: str, policy: InputPolicy = PUBLIC) -> InputStat:
    """Return the state of an input.

    Raises:
        MissingInput: the URI points at nothing or at a folder without pictures or with a gap.
        NotAllowed: the policy does not allow it, or access to it is refused.
        UnreachableInput: its server or file system does not respond, or is busy.
        NoSpace: there is no space left for a copy.
    """
    with _translated(uri):
        found = _find(uri, policy)
        return found if isinstance(found, InputStat) else _sequence_stat(uri, found)


def input_error(uri: str, error: Exception) -> TroupeError:
    """Return the error of the jobs that need an input, for an exception of any class that reading it raised."""
    where, text = uris.redacted(uri), reason(error)
    if isinstance(error, TroupeError):
        return error
    if isinstance(error, aiohttp.ClientError) and not isinstance(error, TimeoutError):
        return http_error(where, error)
    if isinstance(error, FileNotFoundError):
        path = uris.local_path(uri)
        return MissingInput(f"{where} does not exist{'; check the URI' if path is None else missing_advice(path)}")
    if isinstance(error, PermissionError):
        return NotAllowed(f"{where} cannot be read: {text}; check its permissions or credentials")
    if isinstance(error, IsADirectoryError | NotADirectoryError):
        return MissingInput(f"{where} is not a file or folder as expected: {text}")
    if isinstance(error, OSError) and error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        return MissingInput(f"{where} cannot be opened: {text}; check the path")
    if isinstance(error, ValueError):
        return MissingInput(f"{where} is not a valid URI: {text}; check the URI")
    if isinstance(error, MemoryError):
        return InputError(f"{where} needs more memory than there is; use a smaller file")
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return NoSpace(f"{where} cannot be copied to this machine: {text}; make room there and run again")
    if isinstance(error, TimeoutError) and uris.scheme(uri) in uris.HTTP:
        text = f"no answer within {_answer_seconds():g} s"
    return UnreachableInput(f"cannot read {where}: {text}; check that it is reachable, and run again")


def localise(
    uri: str, folder: Path, raise_if_cancelled: Callable[[], None] = lambda: None, *, policy: InputPolicy = PUBLIC
) -> Path:
    """Return a local file with the content of `uri`: the file itself if it is local, else a copy in `folder`.

    For a sequence, return a folder below `folder` that contains only the pictures, or links to them, numbered from
    `0000001.png`. A copy appears whole or not at all.

    Args:
        raise_if_cancelled: called for every part that arrives; stops the work by raising.

    Raises:
        MissingInput, NotAllowed, UnreachableInput, NoSpace: as `stat`.
    """
    with _translated(uri):
        found = _find(uri, policy, raise_if_cancelled)
        path = uris.local_path(uri)
        if isinstance(found, InputStat) and path is not None:
            return path
        # Errors name what is here, so it keeps the name that the user gave, in a folder that no other input has.
        local = folder / hashlib.sha256(uri.encode()).hexdigest()[:16] / _local_name(uri)
        local.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(found, InputStat):
            shutil.rmtree(local, ignore_errors=True)
        with replacing(local) as written:
            if isinstance(found, InputStat):
                _fetch(uri, written, policy, raise_if_cancelled)
            else:
                _gather(found, written, policy, raise_if_cancelled)
        return local


def _local_name(uri: str) -> str:
    """Return the name of an input's copy: its own, where a local file may have it."""
    name = uris.name(uri)
    valid = name.isprintable() and not name.startswith(".") and 0 < len(name.encode()) <= _LONGEST_NAME
    return name if valid else f"input{suffix}" if (suffix := Path(name).suffix)[1:].isalnum() else "input"


@contextmanager
def localised(
    uri: str, raise_if_cancelled: Callable[[], None] = lambda: None, *, policy: InputPolicy = PUBLIC
) -> Iterator[Path]:
    """Yield what `localise` returns; a copy is deleted at the end of the `with` block."""
    path = uris.local_path(uri)
    with _translated(uri):
        in_place = path is not None and path.is_file()
    with nullcontext(Path()) if in_place else scratch_folder() as folder:
        yield localise(uri, folder, raise_if_cancelled, policy=policy)


@contextmanager
def opened(uri: str, policy: InputPolicy = PUBLIC) -> Iterator[IO[bytes]]:
    """Yield a small input, such as a jobs file, as an open file.

    Raises:
        MissingInput, NotAllowed, UnreachableInput, NoSpace: as `stat`.
        TooLarge: it has more bytes than a table may have.
    """
    with _translated(uri):
        policy.check(uri)
    path = uris.local_path(uri)
    with nullcontext(Path()) if path is not None else scratch_folder() as folder:
        if path is None:
            path = folder / "table"
            _fetch(uri, path, policy, lambda: None, MAX_TABLE_BYTES)
        else:
            _check_size(uri, _local(uri, path).size, MAX_TABLE_BYTES)
        with _call(uri, lambda: path.open("rb")) as file:
            yield file


def read(uri: str, policy: InputPolicy = PUBLIC) -> bytes:
    """Return the content of a small input; see `opened`."""
    with opened(uri, policy) as file:
        return file.read()


def content_type(uri: str, policy: InputPolicy = PUBLIC) -> str:
    """Return the content type that an HTTP server reports, without parameters; empty if it reports none.

    Raises:
        MissingInput, NotAllowed, UnreachableInput, NoSpace: as `stat`.
    """
    files, remote_path = _open(uri, policy)
    return str(_call(uri, lambda: files.info(remote_path)).get("mimetype") or "").partition(";")[0].strip().lower()


def files_in(uri: str, policy: InputPolicy = PUBLIC) -> list[str]:
    """Return the URIs of the files directly in a folder, sorted by name, without hidden ones.

    Raises:
        MissingInput, NotAllowed, UnreachableInput: as `stat`.
    """
    with _translated(uri):
        return sorted(state.uri for state in _listed(uri, policy))


def _find(
    uri: str, policy: InputPolicy, raise_if_cancelled: Callable[[], None] = lambda: None
) -> InputStat | list[InputStat]:
    """Return the state of a file, or those of the pictures of a sequence in order."""
    policy.check(uri)
    path = uris.local_path(uri)
    if is_pattern(uri) and not (path is not None and path.exists()):
        return _sequence(uri, uris.parent(uri), policy, uris.name(uri))
    if path is not None:
        return _sequence(uri, uri, policy) if path.is_dir() else _local(uri, path)
    files, remote_path = _open(uri, policy)
    info = _call(uri, lambda: files.info(remote_path), raise_if_cancelled)
    if info["type"] == "directory":
        return _sequence(uri, uri, policy)
    if info["type"] != "file":
        raise MissingInput(f"{uris.redacted(uri)} is not a file; give the URI of one")
    return _remote(uri, files, remote_path, info)


def _sequence(uri: str, folder: str, policy: InputPolicy, pattern: str = "") -> list[InputStat]:
    by_name = {uris.name(state.uri): state for state in _listed(folder, policy)}
    return [by_name[name] for name in ordered_pictures(uri, list(by_name), pattern)]


def _listed(folder: str, policy: InputPolicy) -> list[InputStat]:
    """Return the states of the files in a folder, without hidden ones."""
    policy.check(folder)
    path = uris.local_path(folder)
    if path is not None:
        entries = _call(folder, lambda: [entry for entry in path.absolute().iterdir() if entry.is_file()])
        entries = [entry for entry in entries if not entry.name.startswith(".")]
        for entry in entries:
            if entry.is_symlink():
                policy.check(uris.from_path(entry))
        return [_local(uris.from_path(entry), entry) for entry in entries]
    files, remote_path = _open(folder, policy)
    infos = [info for info in _call(folder, lambda: files.ls(remote_path, detail=True)) if info["type"] == "file"]
    states = [_remote(str(files.unstrip_protocol(info["name"])), files, info["name"], info) for info in infos]
    return [state for state in states if not uris.name(state.uri).startswith(".")]


def _local(uri: str, path: Path) -> InputStat:
    status = _call(uri, path.stat)
    if not path.is_file():
        raise MissingInput(f"{uri} is not a file; give the URI of one")
    real = os.path.realpath(path)
    if any(os.path.commonpath([real, folder]) == folder for folder in _KERNEL_FOLDERS):
        raise MissingInput(f"{uri} is a file of the system, not one of a disk; give the URI of one")
    _check_size(uri, status.st_size)
    # ctime shows that a file was replaced by one with the same size and mtime.
    return InputStat(uri, status.st_size, f"{status.st_mtime_ns}-{status.st_ctime_ns}")


def _remote(uri: str, files: Any, path: str, info: Mapping[str, Any]) -> InputStat:
    size = info.get("size")
    _check_size(uri, int(size or 0))
    return InputStat(uri, -1 if size is None else int(size), _version(files, path, info))


def _sequence_stat(uri: str, pictures: Sequence[InputStat]) -> InputStat:
    known = all(state.version for state in pictures)
    states = "".join(f"{state.uri}\n{state.size}\n{state.version}\n" for state in pictures)
    version = hashlib.sha256(states.encode()).hexdigest() if known else ""
    return InputStat(uri, sum(state.size for state in pictures), version)


def _fetch(
    uri: str,
    local: Path,
    policy: InputPolicy,
    raise_if_cancelled: Callable[[], None],
    most_bytes: str = MAX_BYTES,
) -> None:
    files, remote_path = _open(uri, policy)

    def fetch() -> None:
        size, end = 0, time.monotonic() + limit(MAX_SECONDS)

        def check(arrived: int) -> None:
            nonlocal size
            raise_if_cancelled()
            size += arrived
            _check_size(uri, size, most_bytes)
            if time.monotonic() > end:
                raise TooLarge(
                    f"{uris.redacted(uri)} has not arrived after {limit(MAX_SECONDS)} s, the limit: "
                    f"copy it to a faster place, or set {MAX_SECONDS}"
                )

        download(files, remote_path, local, check)

    _call(uri, fetch, raise_if_cancelled)


def _check_size(uri: str, size: int, variable: str = MAX_BYTES) -> None:
    if size > (most := limit(variable)):
        raise TooLarge(
            f"{uris.redacted(uri)} has more than {most} bytes, the limit: use a smaller file, or set {variable}"
        )


def _gather(
    pictures: Sequence[InputStat], folder: Path, policy: InputPolicy, raise_if_cancelled: Callable[[], None]
) -> None:
    """Fill a folder with links to the pictures, or copies of remote ones, numbered in order."""

    def put(numbered: tuple[int, InputStat]) -> None:
        number, state = numbered
        local = folder / f"{number:07}{Path(uris.name(state.uri)).suffix.lower()}"
        path = uris.local_path(state.uri)
        if path is not None:
            local.symlink_to(path)
        else:
            _fetch(state.uri, local, policy, raise_if_cancelled)

    folder.mkdir()
    map_stoppable(put, enumerate(pictures, 1), raise_if_cancelled)


def _open(uri: str, policy: InputPolicy) -> tuple[Any, str]:
    options: dict[str, Any] = {}
    if uris.scheme(uri) in uris.HTTP:
        wait = _answer_seconds()
        # Not the time of the whole download, which aiohttp limits to five minutes: `_fetch` has its own limit.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=wait, sock_read=wait)
        options = {"get_client": guarded_client(policy), "client_kwargs": {"timeout": timeout}}
    try:
        return open_filesystem(uri, options)
    except SettingsError as error:
        raise MissingInput(error.message) from error


def _answer_seconds() -> float:
    return min(_ANSWER_SECONDS, limit(MAX_SECONDS))


def _call(uri: str, call: Callable[[], T], raise_if_cancelled: Callable[[], None] = lambda: None) -> T:
    """Return `call()`, tried again where that may help, after as long as a busy server asks for."""

    def unwrapped() -> T:
        try:
            return call()
        except FileNotFoundError as error:
            # fsspec says of whatever it cannot ask a web server for that it does not exist.
            if uris.scheme(uri) in uris.HTTP and isinstance(error.__cause__, Exception):
                raise error.__cause__ from None
            raise

    with _translated(uri):
        return retry_call(unwrapped, _may_not_recur, asked_pause, raise_if_cancelled)


def _may_not_recur(error: Exception) -> bool:
    if isinstance(error, aiohttp.ClientResponseError):
        return is_busy(error) and asked_pause(error) <= min(_LONGEST_PAUSE, limit(MAX_SECONDS))
    # One that waited for an answer in vain has waited long enough.
    return is_transient(error) and not isinstance(error, TimeoutError)


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """Raise every exception of the `with` block as the error of the input; client libraries raise any class."""
    try:
        yield
    except Exception as error:
        translated = input_error(uri, error)
        if translated is error:
            raise
        raise translated from error


def _version(files: Any, path: str, info: Mapping[str, Any]) -> str:
    for name in ("ETag", "etag", "generation", "md5Hash", "content_md5", "mtime", "LastModified", "last_modified"):
        if info.get(name):
            return str(info[name])
    try:
        return str(files.modified(path))
    except Exception:  # many file systems do not support this, and each raises its own error
        return ""
