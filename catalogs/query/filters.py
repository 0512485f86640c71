"""Filters on jobs, shared by all commands that query a catalog."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import reduce
from numbers import Real
from operator import and_
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from catalogs.requests.column_names import suggestion
from catalogs.review.decision import REVIEW_STATES
from catalogs.table.schema import EITHER_SIGN, QUALITIES, STATUSES, number_column, number_names
from catalogs.table.snapshot import Snapshot
from troupe.errors import SettingsError
from troupe.labels import label_key

__all__ = ["CatalogQuery", "all_of"]


@dataclass(frozen=True)
class CatalogQuery:
    """Conditions on jobs, all of which must hold; None or empty means any.

    Values are compared and never become part of a query's text, so any text is safe.

    Attributes:
        status: `done`, `reused`, `failed`, `cancelled` or `forgotten`.
        identity: identity of the person shown, in any spelling that `troupe.labels.label_key` takes for the same.
        older_identities: identity as rows write it that have no identity_key yet; see `completed`.
        portraits: SHA-256 of pictures, one of which is the job's portrait.
        driving: URI of the driving clip, or its file name (`welcome.mp4`).
        tags: `name` or `name=value`; the job must have all of them.
        language: BCP 47 tag, as in the request; case makes no difference.
        run, job: run_id and job_id.
        error_kind: kind of error, such as `no_face`.
        picture: key of the picture, column `picture_key`, or its start: the job is one of its films, in any language.
        checksum: SHA-256 of the main video.
        review: `pending`, `approved` or `rejected`; jobs without a film do not match. Not part of `outcome_filter`,
            because it is not a column of the rows.
        since, until: time with a time zone at or after, and before, which the job finished.
        least, most: lower and upper bounds by numeric column; `identity` is short for `quality_identity`, and so on.
            Jobs without a value do not match.

    Raises:
        SettingsError: a status or numeric column does not exist, a time has no time zone, or a value has another type.
            All problems are reported together.
    """

    status: str | None = None
    identity: str | None = None
    older_identities: Sequence[str] = ()
    portraits: Sequence[str] = ()
    driving: str | None = None
    tags: Sequence[str] = ()
    language: str | None = None
    run: str | None = None
    job: str | None = None
    error_kind: str | None = None
    picture: str | None = None
    checksum: str | None = None
    review: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    least: Mapping[str, float] = field(default_factory=dict)
    most: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _refuse(list(self._problems()))

    @classmethod
    def of(cls, filters: Mapping[str, Any]) -> Self:
        """Return the query of a caller's keyword arguments; a single tag may be given as text.

        Raises:
            SettingsError: a keyword is not a filter, or a value is invalid; all problems are reported together.
        """
        known = [f.name for f in fields(cls) if f.name != "older_identities"]
        given = {name: filters[name] for name in known if filters.get(name) is not None}
        if isinstance(tags := given.get("tags"), str):
            given["tags"] = (tags,)
        use = f"; use one of {', '.join(known)}"
        problems = [f"unknown filter {name!r}{suggestion(name, known) or use}" for name in filters if name not in known]
        try:
            query = cls(**given)
        except SettingsError as error:
            if not problems:
                raise
            _refuse([*problems, *(error.problems or [error.message])])
        _refuse(problems)
        return query

    def _problems(self) -> Iterator[str]:
        """Yield what is wrong with the values."""
        texts = (
            "status",
            "identity",
            "driving",
            "language",
            "run",
            "job",
            "error_kind",
            "picture",
            "checksum",
            "review",
        )
        for name in texts:
            if not isinstance(value := getattr(self, name), str | None):
                yield f"{name} is {value!r}; use text"
        if self.status is not None and self.status not in STATUSES:
            yield f"unknown status {self.status!r}; use one of {', '.join(STATUSES)}"
        if self.review is not None and self.review not in REVIEW_STATES:
            yield f"unknown review {self.review!r}; use one of {', '.join(REVIEW_STATES)}"
        for name in ("tags", "portraits"):
            value = getattr(self, name)
            is_list = isinstance(value, Sequence) and not isinstance(value, str)
            if not is_list or not all(isinstance(text, str) for text in value):
                yield f"{name} is {value!r}; use a list of texts"
        for name, moment in (("since", self.since), ("until", self.until)):
            if not isinstance(moment, datetime | None):
                yield f"{name} is {moment!r}; use a datetime with a time zone"
            elif moment is not None and moment.tzinfo is None:
                yield f"{moment.isoformat()} has no time zone; add one, such as +00:00"
        for name, bounds in (("least", self.least), ("most", self.most)):
            if not isinstance(bounds, Mapping):
                yield f"{name} is {bounds!r}; use numbers by column, such as {{'identity': 0.5}}"
                continue
            for column, bound in bounds.items():
                if number_column(column) is None:
                    use = f"; use one of {', '.join(QUALITIES)}, frames, seconds, ..."
                    yield f"{column!r} is not a numeric column{suggestion(column, number_names()) or use}"
                elif not isinstance(bound, Real):
                    yield f"{name} of {column!r} is {bound!r}; use a number"

    @property
    def request_filter(self) -> pc.Expression | None:
        """Condition on columns of the request, equal in all rows of a job and run; None if there is none."""
        return all_of(*self._request_conditions())

    @property
    def outcome_filter(self) -> pc.Expression | None:
        """Condition on the outcome, to be checked on the latest row of a job and run; None if there is none."""
        return all_of(*self._outcome_conditions())

    def completed(self, rows: Snapshot) -> CatalogQuery:
        """Return the query with the identity's spellings in rows from before the column `identity_key`.

        Raises:
            StoreError: the rows cannot be read.
        """
        if self.identity is None:
            return self
        older = pc.unique(rows.read(pc.field("identity_key").is_null(), ["identity"]).column("identity")).to_pylist()
        key = label_key(self.identity)
        return replace(self, older_identities=[text for text in older if text is not None and label_key(text) == key])

    def _request_conditions(self) -> Iterator[pc.Expression]:
        for column, value in (
            ("run_id", self.run),
            ("job_id", None if self.job is None else unicodedata.normalize("NFC", self.job)),
        ):
            if value is not None:
                yield pc.field(column) == value
        if self.identity is not None:
            same = pc.field("identity_key") == label_key(self.identity)
            older = pc.field("identity_key").is_null() & pc.field("identity").isin(list(self.older_identities))
            yield same | older if self.older_identities else same
        if self.language is not None:
            yield pc.utf8_lower(pc.field("language")) == self.language.lower()
        if self.portraits:
            yield pc.field("portrait_sha256").isin(list(self.portraits))
        if self.driving is not None:
            same = pc.field("driving") == self.driving
            # A file name may be in any folder, so files' statistics cannot help.
            yield same if "/" in self.driving else same | pc.ends_with(pc.field("driving"), f"/{self.driving}")
        for tag in self.tags:
            name, equals, value = tag.partition("=")
            found = pc.map_lookup(pc.field("tags"), pa.scalar(name), "first")
            yield found == value if equals else found.is_valid()

    def _outcome_conditions(self) -> Iterator[pc.Expression]:
        if self.status is not None:
            yield pc.field("status") == self.status
        if self.error_kind is not None:
            yield pc.field("error_kind") == self.error_kind
        if self.picture is not None:
            yield pc.starts_with(pc.field("picture_key"), self.picture)
        if self.checksum is not None:
            yield pc.field("checksum") == self.checksum
        if self.since is not None:
            yield pc.field("finished_at") >= _timestamp(self.since)
        if self.until is not None:
            yield pc.field("finished_at") < _timestamp(self.until)
        for name, bound in self.least.items():
            yield _magnitude(name) >= bound
        for name, bound in self.most.items():
            yield _magnitude(name) <= bound


def all_of(*conditions: pc.Expression | None) -> pc.Expression | None:
    """Combine conditions with AND, skipping None; None if none is left."""
    given = [condition for condition in conditions if condition is not None]
    return reduce(and_, given) if given else None


def _timestamp(time: datetime) -> pa.TimestampScalar[Any, Any]:
    return pa.scalar(time, pa.timestamp("us", "UTC"))


def _magnitude(name: str) -> pc.Expression:
    """Return the column's value, or its absolute value where both signs mean the same."""
    value = pc.field(number_column(name) or name)
    return pc.abs(value) if name in EITHER_SIGN else value


def _refuse(problems: Sequence[str]) -> None:
    """Raise all problems, if there are any."""
    if problems:
        raise (
            SettingsError(problems[0]) if len(problems) == 1 else SettingsError(f"{len(problems)} problems:", problems)
        )
