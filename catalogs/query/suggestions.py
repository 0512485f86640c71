"""Explanations of empty answers: filters that no job in the catalog matches, and similar values that jobs have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow.compute as pc

from catalogs.store import uris
from catalogs.store.store import Store
from catalogs.table.redaction import redacted_table
from catalogs.table.snapshot import AsOf, snapshot
from troupe.labels import label_key, near_labels

__all__ = ["unknown_values"]

_COLUMNS = {
    "identity": ("identity", "identity"),
    "driving": ("driving", "driving clip"),
    "language": ("language", "language"),
    "run": ("run_id", "run"),
    "job": ("job_id", "job_id"),
    "error_kind": ("error_kind", "kind of error"),
}
"""Columns of the filters that name a value, and what the value is called."""


def unknown_values(store: Store, filters: Mapping[str, Any], as_of: AsOf | None = None) -> list[str]:
    """Return a line for each value in the filters that no job of the catalog has.

    Args:
        store: store of the catalog.
        filters: fields of `catalogs.query.filters.CatalogQuery`.
        as_of: past state of the catalog.

    Raises:
        SettingsError, StoreError: as `catalogs.query.jobs.list_jobs`.
    """
    given = {name: filters[name] for name in _COLUMNS if filters.get(name)}
    tags = filters.get("tags") or ()
    if not given and not tags:
        return []
    columns = [_COLUMNS[name][0] for name in given] + (["tags"] if tags else [])
    rows = redacted_table(snapshot(store, as_of=as_of).read(columns=columns))
    lines = []
    for name, value in given.items():
        column, kind = _COLUMNS[name]
        known = {text for text in pc.unique(rows.column(column)).to_pylist() if text}
        if name == "driving":
            known |= {uris.name(text) for text in known}
        lines += _line(kind, value, known, label_key if name in ("identity", "language") else str)
    if tags:
        pairs = {pair for cell in rows.column("tags").to_pylist() for pair in cell or ()}
        for tag in tags:
            tag_name, equals, value = tag.partition("=")
            values = {other for key, other in pairs if key == tag_name}
            if not values:
                lines += _line("tag", tag_name, {key for key, _ in pairs}, str)
            elif equals:
                lines += _line(f"value of tag {tag_name!r}", value, values, str)
    return lines


def _line(kind: str, value: str, known: set[str], key: Callable[[str], str]) -> list[str]:
    if key(value) in map(key, known):
        return []
    near = near_labels(value, known)
    return [f"no job has the {kind} {value!r}" + (f"; similar: {', '.join(near)}" if near else "")]
