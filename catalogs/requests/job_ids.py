"""Default job ids, made from what a row says and not from where it stands."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from catalogs.requests.image_sequences import is_pattern
from catalogs.store import uris
from catalogs.store.keys import ID_BYTES, is_id_character

__all__ = ["default_ids", "stem", "unique_names"]

_PART_BYTES = 60
_NAME_BYTES = 48
_WITHOUT_SOUND_FILE = ("", "driving", "none")


def default_ids(rows: Sequence[Mapping[str, Any]], taken: set[str]) -> list[str]:
    """Return an id for each row: `<portrait>__<clip>`, then what it has of languages and the name of its sound file.

    A language that the name of the sound repeats is named once, and so is the clip's name: `ada__welcome__fr`.

    Rows that would have the same id, or one of `taken`, get a short hash of their cells as well. No id depends on the
    order of the rows.

    Args:
        rows: valid values of the filled cells, by column.
        taken: ids that other rows have.
    """
    names = [_name(row) for row in rows]
    counts = Counter(names)
    hashed = [name in taken or counts[name] > 1 for name in names]
    ids = [
        _cut(name, 9) + f"-{_hash(row)}" if add else name for name, row, add in zip(names, rows, hashed, strict=True)
    ]
    # What is still equal are rows without any difference, and ids that somebody chose to be like these.
    seen: set[str] = set(taken)
    for place, job_id in enumerate(ids):
        number = 1
        while ids[place] in seen:
            number += 1
            ids[place] = f"{_cut(job_id, 6)}-{number}"
        seen.add(ids[place])
    return ids


def stem(uri: str) -> str:
    """Return a file's name without its suffix, or the name of a sequence's folder."""
    return PurePosixPath(uris.name(uris.parent(uri) if is_pattern(uri) else uri)).stem


def unique_names(files: Iterable[str]) -> dict[str, str]:
    """Return a short name for each file, for ids and file names: its stem, with a hash of the URI where names collide.

    Names that differ in case only collide, as they do in some file systems.
    """
    names = {uri: _first_bytes(_file_slug(uri), _NAME_BYTES) for uri in files}
    counts = Counter(name.casefold() for name in names.values())
    return {
        uri: name if counts[name.casefold()] == 1 else f"{name}-{hashlib.sha256(uri.encode()).hexdigest()[:8]}"
        for uri, name in names.items()
    }


def _name(row: Mapping[str, Any]) -> str:
    parts = [_file_slug(row["portrait"]), _file_slug(row["driving"])]
    parts += [_slug(row[column]) for column in ("language", "subtitles_language") if row.get(column)]
    if (audio := row.get("audio", "")) not in _WITHOUT_SOUND_FILE:
        sound = stem(audio)
        rest = _without_language(sound, row.get("language", ""))
        if rest == sound or (rest and _slug(rest) != parts[1]):
            parts.append(_slug(rest))
    name = "__".join(parts)
    # Cut names may be equal where the whole ones are not; the hash keeps them apart whatever other rows there are.
    return name if len(name.encode()) <= ID_BYTES else f"{_cut(name, 9)}-{_hash(row)}"


def _without_language(name: str, language: str) -> str:
    """Return a file's name without the language in it, `welcome` of `welcome.fr`."""
    if not language:
        return name
    tag = re.escape(language).replace(r"\-", "[-_]")
    return re.sub(rf"(?:^|[._\- ]){tag}(?=$|[._\- ])", "", name, count=1, flags=re.IGNORECASE).strip("._- ")


def _hash(row: Mapping[str, Any]) -> str:
    cells = sorted((column, str(dict(cell) if isinstance(cell, Mapping) else cell)) for column, cell in row.items())
    return hashlib.sha256(repr(cells).encode()).hexdigest()[:8]


@lru_cache(maxsize=1024)  # jobs share inputs
def _file_slug(uri: str) -> str:
    return _slug(stem(uri))


def _slug(text: str) -> str:
    """Return a text as a part of an id: letters and digits of any script, at most 60 bytes."""
    # Not python-slugify: it transliterates, and gives different names one id.
    kept = (character if is_id_character(character) else " " for character in unicodedata.normalize("NFKC", text))
    return _first_bytes("-".join("".join(kept).split()).strip("-."), _PART_BYTES) or "x"


def _cut(name: str, room: int) -> str:
    return _first_bytes(name, ID_BYTES - room)


def _first_bytes(text: str, count: int) -> str:
    return text.encode()[:count].decode(errors="ignore")
