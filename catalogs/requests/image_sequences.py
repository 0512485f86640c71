"""Driving clips that are given as pictures, one a frame: a folder of them, `frames/%05d.png` or `frames/*.png`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import pairwise

from catalogs.store import uris
from troupe.errors import MissingInput

__all__ = ["PICTURES", "in_order", "is_pattern", "title"]

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
_NUMBER = re.compile(r"%0(\d)d|%d(?![0-9A-Fa-f])")  # not what is left of a percent-encoded letter


def is_pattern(uri: str) -> bool:
    """Whether the last part of the URI stands for many; no web server tells what it has."""
    name = uris.name(uri)
    return uris.scheme(uri) not in ("http", "https") and ("*" in name or _NUMBER.search(name) is not None)


def title(uri: str) -> str:
    """What people call the input: the last part of its URI, of a pattern the folder's name too."""
    return f"{uris.name(uris.parent(uri))}/{uris.name(uri)}" if is_pattern(uri) else uris.name(uri)


def in_order(uri: str, found: Sequence[str], pattern: str = "") -> list[str]:
    """The pictures of a sequence, as they follow each other.

    With `%05d`, and in a folder where the names differ by one number, no number may be missing between the first and
    the last. With `*`, all that there is follows in the order of the names, numbers in them by their size.

    Args:
        uri: of the sequence, for messages.
        found: names of the folder's files.
        pattern: of the names that are meant; empty for a whole folder.

    Raises:
        MissingInput: there are none, of several kinds, or with a gap.
    """
    where = uris.redacted(uri)
    pictures = sorted((entry for entry in found if entry.lower().endswith(PICTURES)), key=_natural)
    if number := _NUMBER.search(pattern):
        pictures = [entry for entry in pictures if _is_numbered(pattern, number, entry)]
    elif pattern:
        pictures = [entry for entry in pictures if fnmatchcase(entry, pattern)]
    if not pictures:
        raise MissingInput(f"{where} holds no pictures ({', '.join(PICTURES)}); check the URI")
    kinds = sorted({entry.rpartition(".")[2].lower() for entry in pictures})
    if len(kinds) > 1:
        raise MissingInput(
            f"{where} holds pictures of several kinds, {', '.join(kinds)}; name one, such as *.{kinds[0]}"
        )
    if number or not pattern:
        for before, lacking in _gaps(pictures):
            raise MissingInput(
                f"{where} has a gap: after {before} the number {lacking} is missing; "
                f"add the picture, or name the pictures with * to do without it"
            )
    return pictures


def _is_numbered(pattern: str, number: re.Match[str], entry: str) -> bool:
    """Whether it is what the pattern gives for some number."""
    head, tail = pattern[: number.start()], pattern[number.end() :]
    digits = entry[len(head) : len(entry) - len(tail)]
    plain = digits.isascii() and digits.isdigit() and digits == str(int(digits)).zfill(int(number[1] or 0))
    return plain and entry == head + digits + tail


def _gaps(pictures: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Names after which a number is missing, and the number; none where the names differ by more than one number."""
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
    """Texts and numbers in turn, to sort by."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"([0-9]+)", name))]
