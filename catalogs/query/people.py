"""The people of a catalog: their jobs, films and languages, whatever the spelling of their identity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalogs.query.job_index import JobIndex
from catalogs.table.schema import WITH_VIDEO
from troupe.labels import label_key

__all__ = ["Person", "find_person", "list_people"]


@dataclass(frozen=True)
class Person:
    """A person, by the label of their identity.

    Attributes:
        key: what labels are compared by, `troupe.labels.label_key`.
        labels: the label as jobs write it, the most frequent spelling first.
        counts: jobs by status.
        films: `render_key` of videos in the store -> `picture_key`, each once.
        languages: of these videos.
        runs: number of runs.
        last_finished: when the latest job ended; None without jobs.
    """

    key: str
    labels: Sequence[str]
    counts: Mapping[str, int]
    films: Mapping[str, str | None]
    languages: Sequence[str]
    runs: int
    last_finished: datetime | None

    @property
    def label(self) -> str:
        """The label in its most frequent spelling."""
        return self.labels[0]


def list_people(
    index: JobIndex, others: Iterable[str] = (), *, search: str = "", after: str = "", limit: int = 60
) -> tuple[list[Person], int, str]:
    """Return people by name, their number, and the key after which the next page begins; empty on the last page.

    Args:
        index: the catalog's jobs.
        others: labels of further people, who may have no jobs.
        search: part of a label, in any spelling; empty for all.
        after: key after which the page begins.
        limit: maximum number of people.

    Raises:
        StoreError: the catalog cannot be read.
    """
    rows = index.jobs(["identity"])
    spellings = _spellings(rows, others)
    found = sorted(key for key in spellings if label_key(search) in key)
    page = [key for key in found if key > after][: limit + 1]
    shown = page[:limit]
    return _people(index, {key: spellings[key] for key in shown}), len(found), shown[-1] if len(page) > limit else ""


def find_person(index: JobIndex, label: str, others: Iterable[str] = ()) -> Person | None:
    """Return a person by a label in any spelling; None if no job and none of the `others` has it.

    Raises:
        StoreError: the catalog cannot be read.
    """
    key = label_key(label)
    spellings = _spellings(index.jobs(["identity"]), others)
    return _people(index, {key: spellings[key]})[0] if key in spellings else None


def _spellings(rows: pa.Table, others: Iterable[str]) -> dict[str, list[str]]:
    """Return the labels of each person, the most frequent first."""
    counted = (
        rows.group_by("identity")
        .aggregate([([], "count_all")])
        .sort_by([("count_all", "descending"), ("identity", "descending")])
    )
    labels = [label for label in counted.column("identity").to_pylist() if label]
    spellings: dict[str, list[str]] = {}
    for label in [*labels, *others]:
        if key := label_key(label):
            spellings.setdefault(key, []).append(label)
    return {key: list(dict.fromkeys(found)) for key, found in spellings.items()}


def _people(index: JobIndex, spellings: Mapping[str, list[str]]) -> list[Person]:
    rows = index.jobs(["identity", "status", "render_key", "picture_key", "language", "finished_at"])
    labels = pa.array([label for found in spellings.values() for label in found], pa.string())
    rows = rows.filter(pc.is_in(rows.column("identity"), labels))
    keys = {label: key for key, found in spellings.items() for label in found}
    written: Any = rows.column("identity").to_pylist()
    owners = np.array([keys[label] for label in written], dtype=object)
    return [_person(key, found, rows.filter(owners == key)) for key, found in spellings.items()]


def _person(key: str, labels: list[str], rows: pa.Table) -> Person:
    columns: dict[str, list[Any]] = {name: rows.column(name).to_pylist() for name in rows.column_names}
    videos = [
        place
        for place, status in enumerate(columns["status"])
        if status in WITH_VIDEO and columns["render_key"][place] is not None
    ]
    return Person(
        key,
        labels,
        Counter(columns["status"]),
        {columns["render_key"][place]: columns["picture_key"][place] for place in videos},
        sorted({columns["language"][place] for place in videos if columns["language"][place]}),
        len(set(columns["run_id"])),
        max(filter(None, columns["finished_at"]), default=None),
    )
