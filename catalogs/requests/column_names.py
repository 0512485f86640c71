"""Names of the columns of a jobs file, as messages have them."""

from __future__ import annotations

import difflib
from collections.abc import Collection

__all__ = ["OPTIONS", "column_suggestion", "default_name", "suggestion"]

OPTIONS = (
    *("preset", "seed", "output", "audio", "languages", "fit", "loudness", "subtitles", "subtitles_burn", "label"),
    *("watermark", "lips"),
)
"""Columns with an option of the command line that sets their default."""
_OTHER_NAMES = {
    **dict.fromkeys(("clip", "video", "motion", "driver"), "driving"),
    **dict.fromkeys(("picture", "image", "photo", "source", "avatar"), "portrait"),
    **dict.fromkeys(("sound", "dub", "speech", "voice"), "audio"),
    **dict.fromkeys(("person", "name", "actor"), "identity"),
    **dict.fromkeys(("lang", "locale"), "language"),
    **dict.fromkeys(("id", "job"), "job_id"),
    **dict.fromkeys(("subs", "captions"), "subtitles"),
}
"""Columns by names that other programs have for them."""


def default_name(column: str) -> str:
    """Return what the user knows the default of a column by: an option, or an entry of a flow's `defaults`."""
    return f"--{column.replace('_', '-')}" if column in OPTIONS else f"defaults: {column}"


def column_suggestion(name: str, columns: Collection[str]) -> str:
    """Return the end of a message: the column that an unknown name may stand for, else all columns."""
    if column := _OTHER_NAMES.get(name.lower()):
        return f"; did you mean {column!r}?"
    return suggestion(name, columns) or f"; use one of {', '.join(columns)}"


def suggestion(text: str, known: Collection[str]) -> str:
    """Return the end of a message: the most similar of the `known` names, if any."""
    near = difflib.get_close_matches(text[:80].lower(), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
