"""The films of an export: the rows that have a video."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from troupe.labels import label_key

__all__ = ["film_content", "films_of", "with_one_spelling"]


def films_of(rows: pa.Table) -> list[dict[str, Any]]:
    """Return the rows with a video, in an order that does not depend on when they were recorded."""
    films = [row for row in rows.to_pylist() if row["full_uri"] or row["crop_uri"]]
    return sorted(films, key=lambda row: (row["run_id"], row["job_id"]))


def film_content(row: Mapping[str, Any]) -> str:
    """Return what is equal for rows with the same film."""
    return str(row["render_key"] or row["full_uri"] or row["crop_uri"])


def with_one_spelling(films: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with every identity as its first row spells it, so that it has one folder."""
    labels: dict[str, str] = {}
    return [row | {"identity": labels.setdefault(label_key(row["identity"] or ""), row["identity"])} for row in films]
