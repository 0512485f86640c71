"""Rows without the credentials that URIs have in rows of earlier versions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalogs.store.uris import redacted_text, redacted_value

__all__ = ["has_credentials", "redacted_table"]

_CANDIDATE = r"(?s)://.*[=@]"
"""What every URI with credentials matches."""
_PROSE = ("error", "notes")
"""Columns in which a URI ends in the middle of a sentence."""


def has_credentials(table: pa.Table) -> bool:
    """Return whether any text of a table may have credentials."""
    return any(_has_candidate(column) for column in table.columns)


def redacted_table(table: pa.Table) -> pa.Table:
    """Return the table with `redacted` URIs in all texts: in columns of texts, tags, lists and structures."""
    for index, field in enumerate(table.schema):
        column = table.column(index)
        if _has_candidate(column):
            table = table.set_column(index, field, _redacted(column, field.name))
    return table


def _has_candidate(column: Any) -> bool:
    return any(pc.any(pc.match_substring_regex(texts, _CANDIDATE)).as_py() for texts in _texts(column))


def _redacted(column: Any, name: str) -> Any:
    if not _is_text(column.type):
        return pa.chunked_array([pa.array(redacted_value(column.to_pylist()), column.type)])
    found: Any = pc.fill_null(pc.match_substring_regex(column, _CANDIDATE), False).combine_chunks()
    redact = redacted_text if name in _PROSE else redacted_value
    shown = pa.array([redact(text) for text in column.filter(found).to_pylist()], column.type)
    return pa.chunked_array([pc.replace_with_mask(column.combine_chunks(), found, shown)])


def _texts(array: Any) -> Iterator[Any]:
    """Yield the arrays of texts that an array consists of."""
    kind = array.type
    if isinstance(array, pa.ChunkedArray):
        if _is_text(kind):
            yield array
        elif pa.types.is_nested(kind):
            for chunk in array.chunks:
                yield from _texts(chunk)
    elif _is_text(kind):
        yield array
    elif pa.types.is_map(kind):
        yield from _texts(array.keys)
        yield from _texts(array.items)
    elif pa.types.is_struct(kind):
        for part in array.flatten():
            yield from _texts(part)
    elif pa.types.is_nested(kind) and hasattr(array, "flatten"):
        yield from _texts(array.flatten())


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
