"""Driving clips given as image sequences, one picture per frame: a folder, `frames/%05d.png` or `frames/*.png`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import pairwise

from catalogs.store import uris
from troupe.errors import MissingInput
from troupe.file_suffixes import SEQUENCE_SUFFIXES

__all__ = ["display_name", "is_pattern", "ordered_pictures"]

_NUMBER = re.compile(r"%0(\d)d|%d(?![0-9A-Fa-f])")  # not what is left of a percent-encoded letter


def is_pattern(uri: str) -> bool:
    """Return whether the last part of the URI matches several files; never over HTTP, which has no listings."""
    name = uris.name(uri)
    return uris.scheme(uri) not in uris.HTTP and ("*" in name or _NUMBER.search(name) is not None)


def display_name(uri: str) -> str:
    """Return a short name of an input for display: the last part of its URI, for a pattern with the folder's name."""
    return f"{uris.name(uris.parent(uri))}/{uris.name(uri)}" if is_pattern(uri) else uris.name(uri)


def ordered_pictures(uri: str, found: Sequence[str], pattern: str = "") -> list[str]:
    """Return the pictures of a sequence in order.

    With `%05d`, and in a folder where the names differ by one number, no number may be missing between the first and
    the last. With `*`, all matching files are sorted by name, numbers in the names by value.

    Args:
        uri: URI of the sequence, for messages.
        found: names of the folder's files.
        pattern: pattern of the names; empty for the whole folder.

    Raises:
        MissingInput: there are no pictures, several formats, or a gap.
    """
    where = uris.redacted(uri)
    pictures = sorted((entry for entry in found if entry.lower().endswith(SEQUENCE_SUFFIXES)), key=_natural)
    if number := _NUMBER.search(pattern):
        pictures = [entry for entry in pictures if _is_numbered(pattern, number, entry)]
    elif pattern:
        pictures = [entry for entry in pictures if fnmatchcase(entry, pattern)]
    if not pictures:
        raise MissingInput(f"{where} contains no pictures ({', '.join(SEQUENCE_SUFFIXES)}); check the URI")
    kinds = sorted({entry.rpartition(".")[2].lower() for entry in pictures})
    if len(kinds) > 1:
        raise MissingInput(
            f"{where} contains pictures in several formats, {', '.join(kinds)}; choose one, such as *.{kinds[0]}"
        )
    if number or not pattern:
        for before, missing in _gaps(pictures):
            raise MissingInput(
                f"{where} has a gap: the number {missing} is missing after {before}; "
                f"add the picture, or use a pattern with * to skip it"
            )
    return pictures


def _is_numbered(pattern: str, number: re.Match[str], entry: str) -> bool:
    """Return whether the name is the pattern with some number filled in."""
    head, tail = pattern[: number.start()], pattern[number.end() :]
    digits = entry[len(head) : len(entry) - len(tail)]
    plain = digits.isascii() and digits.isdigit() and digits == str(int(digits)).zfill(int(number[1] or 0))
    return plain and entry == head + digits + tail


def _gaps(pictures: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield each name before a gap, with the missing number; nothing if the names differ by several numbers."""
    parts = [_natural(entry) for entry in pictures]
    if len({len(entry) for entry in parts}) > 1:
        return
    differing = [place for place, values in enumerate(zip(*parts, strict=True)) if len(set(values)) > 1]
    if len(differing) != 1 or not differing[0] % 2:
        return
    numbers = [int(entry[differing[0]]) for entry in parts]
    for name, (one, other) in zip(pictures, pairwise(numbers), strict=False):
        if other != one + 1:
            yield name, one + 1


def _natural(name: str) -> list[str | int]:
    """Return the texts and numbers of a name in turn, as a sort key."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"([0-9]+)", name))]
