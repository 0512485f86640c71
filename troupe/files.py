"""Local files: their SHA-256, and writes that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

__all__ = [
    "FileState",
    "file_sha256",
    "file_state",
    "is_part",
    "is_torchscript",
    "missing_advice",
    "part_name",
    "replacing",
]

FileState: TypeAlias = tuple[int, int, int]
"""Size, time of the last change in nanoseconds, and inode."""

_SUFFIX = ".part"
_PART_BYTES = 1 << 22
_MOST_NAMES, _MOST_SIMILAR = 10_000, 10
_WORD = re.compile(r"[^\W_]+")


def file_sha256(path: Path, raise_if_cancelled: Callable[[], None] = lambda: None) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Args:
        raise_if_cancelled: called for every part of some MB; stops the work by raising.
    """
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        buffer = memoryview(bytearray(min(_PART_BYTES, max(1, path.stat().st_size))))
        while count := file.readinto(buffer):
            raise_if_cancelled()
            digest.update(buffer[:count])
    return digest.hexdigest()


def file_state(path: Path) -> FileState | None:
    """Return the state of a file, which a change of its content changes; None if there is no file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


def is_torchscript(path: Path) -> bool:
    """Return whether a file is TorchScript, as far as the names in it show; state dictionaries are not."""
    try:
        with zipfile.ZipFile(path) as file:
            return any(name.endswith("/constants.pkl") for name in file.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def missing_advice(path: Path) -> str:
    """Return the end of a message about a file that does not exist: the most similar one, if there is any."""
    beside = path.parent.is_dir()
    wanted = path if beside else path.absolute().parent
    near = _similar_name(wanted)
    if beside:
        return f"; did you mean {near!r}?" if near else "; check the path"
    hint = f"did you mean the folder {str(wanted.with_name(near))!r}?" if near else "check the path"
    return f", nor does its folder; {hint}"


def _similar_name(path: Path) -> str:
    """Return the most similar name beside a path; empty if there is none, or no such folder."""
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in islice(entries, _MOST_NAMES) if not entry.name.startswith(".")]
    except OSError:
        return ""
    by_key = {name.casefold(): name for name in sorted(names, reverse=True)}
    close = get_close_matches(path.name.casefold(), by_key, n=_MOST_SIMILAR, cutoff=0.7)
    return next((by_key[key] for key in close if not _in_other_languages(path.name, key)), "")


def _in_other_languages(one: str, other: str) -> bool:
    """Return whether two names differ in their language only, as `dub.pt-BR.wav` and `dub.en.wav` do."""
    import langcodes  # which only such a message needs

    parts, others = (_WORD.findall(Path(name).stem.casefold()) for name in (one, other))

    def is_language(words: list[str], start: int) -> bool:
        longest = 3 if start else 2  # whole names of three letters are rather those of people
        return bool(words) and len(words[0]) <= longest and langcodes.tag_is_valid("-".join(words))

    shorter = min(len(parts), len(others))
    return parts != others and any(
        parts[:start] == others[:start]
        and parts[len(parts) - end :] == others[len(others) - end :]
        and is_language(parts[start : len(parts) - end], start)
        and is_language(others[start : len(others) - end], start)
        for start in range(shorter)
        for end in range(shorter - start)
    )


@contextmanager
def replacing(path: Path, *, sole_writer: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path` when the block succeeds.

    The block writes a file or a folder at the temporary path. If it fails, what it wrote is removed and `path` stays
    as it was.

    Args:
        path: the target; its parent folder must exist.
        sole_writer: whether nobody else writes `path` at the same time. The temporary name is then always the same,
            so that the next write removes what a killed process left behind; otherwise it is random.
    """
    part = path.with_name(part_name(path.name if sole_writer else uuid4().hex))
    if sole_writer:
        _remove(part)
    try:
        yield part
        part.replace(path)
    finally:
        _remove(part)


def part_name(stem: str) -> str:
    """Return the name of a file that is still being written: hidden, and recognised by `is_part`."""
    return f".{stem}{_SUFFIX}"


def is_part(name: str) -> bool:
    """Return whether a file of this name is still being written, or was left behind half-written."""
    return name.startswith(".") and name.endswith(_SUFFIX)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
