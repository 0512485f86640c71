"""File names from a job's columns: `{identity}/{job_id}_{language}.mp4`."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from troupe.errors import SettingsError
from troupe.labels import near_labels

__all__ = ["NameTemplate", "numbered"]

_UNKNOWN = "unknown"
_NAMED_JOBS = 5
_MAX_CHARACTERS = 120
"""Maximum characters per column's text."""
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')
_DEVICES = frozenset(
    {
        "con",
        "prn",
        "aux",
        "nul",
        "conin$",
        "conout$",
        *(f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³"),
    }
)
"""Names that Windows reserves for devices, with any suffix and with spaces before it."""
_MAX_BYTES = 240
"""Bytes of a name: file systems allow 255, and equal names are numbered."""
_MAX_SUFFIX_BYTES = 16


class NameTemplate:
    """Template of file names that are valid on every system and never lead outside their folder.

    Args:
        text: path with columns in braces; `{tags.scene}` is the value of a tag.
        columns: available columns.

    Raises:
        SettingsError: the template is invalid.
    """

    def __init__(self, text: str, columns: Collection[str]) -> None:
        try:
            self._parts = [(literal, column) for literal, column, *rest in _parsed(text) if not _odd(rest)]
        except ValueError as error:
            raise SettingsError(f"invalid name template {text!r}: {error}") from error
        named = {column for _, column in self._parts if column is not None}
        unknown = sorted(name for name in named if name not in columns and not name.startswith("tags."))
        if unknown:
            what = ", ".join(unknown) or "nothing"
            raise SettingsError(f"name template {text!r} uses {what}, which no job has; use {_common(columns)}")
        folders = "".join(literal for literal, _ in self._parts).split("/")
        if text.startswith("/") or not text.strip("/") or ".." in folders or "\\" in text:
            raise SettingsError(
                f"name template {text!r} leads out of the folder; use a relative path such as {{job_id}}.mp4"
            )

    @property
    def columns(self) -> list[str]:
        """Columns that the template uses."""
        return [column for _, column in self._parts if column is not None]

    def value(self, row: Mapping[str, Any], column: str) -> Any:
        """Return the value of one of the columns in a row."""
        return _value(row, column)

    def check_tags(self, jobs: Sequence[Mapping[str, Any]]) -> None:
        """Check that every job has the tags that the template names.

        Raises:
            SettingsError: some have not.
        """
        for _, column in self._parts:
            if column is None or not column.startswith("tags."):
                continue
            tag = column.removeprefix("tags.")
            without = [str(job["job_id"]) for job in jobs if _value(job, column) is None]
            if without and len(without) == len(jobs):
                near = near_labels(tag, {name for job in jobs for name, _ in dict(job["tags"] or {}).items()})
                raise SettingsError(f"no job has the tag {tag!r}" + (f"; similar: {', '.join(near)}" if near else ""))
            if without:
                named = ", ".join(without[:_NAMED_JOBS]) + (", ..." if len(without) > _NAMED_JOBS else "")
                raise SettingsError(
                    f"{len(without)} of {len(jobs)} jobs have no tag {tag!r}: {named}; "
                    f"export those that have it with --tag {tag}, and the others under another name"
                )

    def name(self, row: Mapping[str, Any], suffix: str) -> str:
        """Return the name for a row, ending in `suffix`; missing values become `unknown`."""
        filled = "".join(literal + (_safe(_value(row, column)) if column else "") for literal, column in self._parts)
        filled = filled if filled.lower().endswith(suffix) else filled + suffix
        return "/".join(_part(part) for part in filled.split("/") if part)


def _parsed(text: str) -> list[tuple[str, str | None, str | None, str | None]]:
    return list(string.Formatter().parse(text))


def _odd(rest: list[str | None]) -> bool:
    if any(rest):
        raise ValueError("only a column's name is allowed in braces")
    return False


def _common(columns: Collection[str]) -> str:
    usual = ("job_id", "identity", "language", "run_id", "preset", "seed", "tags.NAME")
    return ", ".join(name for name in usual if name in columns or name.startswith("tags"))


def _value(row: Mapping[str, Any], column: str) -> Any:
    if column.startswith("tags."):
        return dict(row.get("tags") or {}).get(column.removeprefix("tags."))
    return row.get(column)


def _safe(value: Any) -> str:
    """Convert a value to text that is valid in a file name."""
    text = unicodedata.normalize("NFC", str(value if value is not None else ""))
    kinds = [(character, unicodedata.category(character)[0]) for character in text]
    text = "".join(" " if kind == "Z" else character for character, kind in kinds if kind != "C")
    text = _FORBIDDEN.sub("-", text).strip(" -.")
    return text[:_MAX_CHARACTERS].strip(" .") or _UNKNOWN


def _part(part: str) -> str:
    part = part.strip(" ")
    part = f"_{part}" if part.split(".")[0].strip(" ").lower() in _DEVICES or part.startswith(".") else part
    if len(part.encode()) <= _MAX_BYTES:
        return part
    stem, dot, suffix = part.rpartition(".")
    if not stem or len(suffix.encode()) > _MAX_SUFFIX_BYTES:  # a folder, or a dot in the text
        stem, dot, suffix = part, "", ""
    room = _MAX_BYTES - len(f"{dot}{suffix}".encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(" .") + dot + suffix


def numbered(wanted: Iterable[tuple[str, str]], there: Mapping[str, str], suffix: str = ".mp4") -> Iterator[str]:
    """Yield names for files, numbering those that other files have.

    Compared without case, for case-insensitive file systems.

    Args:
        wanted: wanted names, which end in `suffix`, and what is in the files.
        there: files of earlier exports, and what is in them.
        suffix: what follows the number.
    """
    taken = {file.casefold(): content for file, content in there.items()}
    for name, content in wanted:
        stem = name[: -len(suffix)]
        candidate, number = name, 1
        while taken.setdefault(candidate.casefold(), content) != content:
            number += 1
            candidate = f"{stem}-{number}{name[-len(suffix) :]}"
        yield candidate
