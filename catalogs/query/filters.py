"""Which jobs are meant: the filters of every command that looks into a catalog."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from operator import and_
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalogs.table.schema import QUALITIES, SCHEMA, STATUSES
from troupe.errors import SettingsError

__all__ = ["CatalogQuery"]


@dataclass(frozen=True)
class CatalogQuery:
    """Jobs that fulfil all of it; what is None or empty asks for nothing.

    Values are compared, never made part of a query's text: any text is safe.

    Attributes:
        status: `done`, `reused`, `failed`, `cancelled` or `forgotten`.
        identity: of the person shown.
        portraits: SHA-256 of pictures, one of which the job's portrait is.
        driving: the clip's URI, or its name alone (`welcome.mp4`).
        tags: `name` or `name=value`, all of which the job must have.
        language: BCP 47, as in the request.
        run, job: their ids.
        error_kind: such as `no_face`.
        since, until: when the job finished, from the one to before the other, with time zones.
        least, most: bounds of numbers by column; `identity` is short for `quality_identity`, and so on. A job in
            which it was not measured is left out.

    Raises:
        SettingsError: there is no such status or column of numbers, or a time has no zone.
    """

    status: str | None = None
    identity: str | None = None
    portraits: Sequence[str] = ()
    driving: str | None = None
    tags: Sequence[str] = ()
    language: str | None = None
    run: str | None = None
    job: str | None = None
    error_kind: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    least: Mapping[str, float] = field(default_factory=dict)
    most: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status is not None and self.status not in STATUSES:
            raise SettingsError(f"no status {self.status!r}; there are {', '.join(STATUSES)}")
        for moment in (self.since, self.until):
            if moment is not None and moment.tzinfo is None:
                raise SettingsError(f"{moment.isoformat()} has no time zone; add one, such as +00:00")
        for name in (*self.least, *self.most):
            _number_column(name)

    @property
    def asked(self) -> pc.Expression | None:
        """On what was asked for: the same in all rows of a job and run. None where it asks for nothing."""
        return _all(self._asked())

    @property
    def ended(self) -> pc.Expression | None:
        """On how it ended: what counts is only the latest row of a job and run."""
        return _all(self._ended())

    def _asked(self) -> Iterator[pc.Expression]:
        for column, value in (
            ("run_id", self.run),
            ("job_id", self.job),
            ("identity", self.identity),
            ("language", self.language),
        ):
            if value is not None:
                yield pc.field(column) == value
        if self.portraits:
            yield pc.field("portrait_sha256").isin(list(self.portraits))
        if self.driving is not None:
            named = pc.field("driving") == self.driving
            # A name says nothing about the folders before it, so that files' statistics cannot help.
            yield named if "/" in self.driving else named | pc.ends_with(pc.field("driving"), f"/{self.driving}")
        for tag in self.tags:
            name, given, value = tag.partition("=")
            found = pc.map_lookup(pc.field("tags"), pa.scalar(name), "first")
            yield found == value if given else found.is_valid()

    def _ended(self) -> Iterator[pc.Expression]:
        if self.status is not None:
            yield pc.field("status") == self.status
        if self.error_kind is not None:
            yield pc.field("error_kind") == self.error_kind
        if self.since is not None:
            yield pc.field("finished_at") >= _moment(self.since)
        if self.until is not None:
            yield pc.field("finished_at") < _moment(self.until)
        for name, bound in self.least.items():
            yield pc.field(_number_column(name)) >= bound
        for name, bound in self.most.items():
            yield pc.field(_number_column(name)) <= bound


def _all(conditions: Iterator[pc.Expression]) -> pc.Expression | None:
    every = list(conditions)
    return reduce(and_, every) if every else None


def _moment(time: datetime) -> pa.TimestampScalar[Any, Any]:
    return pa.scalar(time, pa.timestamp("us", "UTC"))


def _number_column(name: str) -> str:
    column = f"quality_{name}" if name in QUALITIES else name
    kind = SCHEMA.field(column).type if column in SCHEMA.names else None
    if kind is None or not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise SettingsError(f"{name!r} is no column of numbers; there are {', '.join(QUALITIES)}, frames, seconds, ...")
    return column
