"""A decision of a reviewer or of a rule, and the state of a film that follows from all of them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeAlias, get_args
from uuid import uuid4

from troupe.errors import SettingsError

__all__ = [
    "PENDING",
    "REVIEW_STATES",
    "SCOPES",
    "VERDICTS",
    "Decision",
    "DecisionKind",
    "ReviewState",
    "Scope",
    "State",
]

Scope: TypeAlias = Literal["film", "picture"]
"""What a decision is about: one film, or a picture with its films in all languages."""
SCOPES: tuple[Scope, ...] = get_args(Scope)
DecisionKind: TypeAlias = Literal["approved", "rejected", "comment", "undo"]
State: TypeAlias = Literal["pending", "approved", "rejected"]
REVIEW_STATES: tuple[State, ...] = get_args(State)
VERDICTS: tuple[DecisionKind, ...] = ("approved", "rejected")
"""Decisions that lead to a state of the same name."""

_RULE = "rule:"
"""Start of what is shown as the reviewer of an automatic decision."""
_MAX_TEXT = {"reviewer": 200, "key": 200, "reason": 1000, "comment": 10_000, "run_id": 200, "job_id": 200}
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Decision:
    """One line of the history: a verdict, a comment, or the undoing of an earlier line.

    Attributes:
        reviewer: name of the person; empty for a rule.
        scope: `film` or `picture`.
        key: key of the film or the picture, columns `render_key` and `picture_key` of the catalog.
        kind: `approved`, `rejected`, `comment` or `undo`.
        reason: why, from the reviewers' list of reasons.
        comment: free text.
        time_seconds: place in the video that it is about; None for all of it.
        undoes: decision_id of the verdict or comment that this undoes.
        run_id, job_id: row that the reviewer looked at.
        automatic: text of the rule that decided; None for a person.
        decision_id: 32 hex digits; a decision that is added twice is stored once.
        decided_at: when, with a time zone.

    Raises:
        SettingsError: a value is invalid.
    """

    reviewer: str
    scope: Scope
    key: str
    kind: DecisionKind
    reason: str = ""
    comment: str = ""
    time_seconds: float | None = None
    undoes: str | None = None
    run_id: str = ""
    job_id: str = ""
    automatic: str | None = None
    decision_id: str = field(default_factory=lambda: uuid4().hex)
    decided_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        if problem := self._problem():
            raise SettingsError(f"invalid decision: {problem}")

    @property
    def shown_reviewer(self) -> str:
        """Who decided, for people: the reviewer's name, or `rule: ...`."""
        return self.reviewer if self.automatic is None else f"{_RULE} {self.automatic}"

    @property
    def order(self) -> tuple[datetime, str]:
        """Place in the history: of two decisions, the one with the larger value is the later one."""
        return self.decided_at, self.decision_id

    @property
    def weight(self) -> tuple[bool, datetime, str]:
        """Of two verdicts, the one with the larger value counts: a person's over a rule's, then the later one."""
        return self.automatic is None, *self.order

    def _problem(self) -> str | None:
        """Return what is wrong with the values."""
        if self.scope not in get_args(Scope):
            return f"scope is {self.scope!r}; use film or picture"
        if self.kind not in get_args(DecisionKind):
            return f"kind is {self.kind!r}; use one of {', '.join(get_args(DecisionKind))}"
        for name, limit in _MAX_TEXT.items():
            if problem := _text_problem(name, getattr(self, name), limit):
                return problem
        if not self.key:
            return "key is empty; use the render_key of a film, or the picture_key of a picture"
        if self.automatic is None and not self.reviewer.strip():
            return "reviewer is empty; give a name"
        if self.reviewer.lower().startswith(_RULE):
            return f"reviewer is {self.reviewer!r}, which only rules are called"
        if self.kind == "comment" and not self.comment.strip():
            return "comment is empty"
        if (self.kind == "undo") != (self.undoes is not None):
            return "undoes must be given for an undo, and only for one"
        for value in (self.decision_id, self.undoes):
            if value is not None and not _ID.fullmatch(value):
                return f"decision_id is {value!r}; use 32 hex digits"
        if self.time_seconds is not None and not (math.isfinite(self.time_seconds) and self.time_seconds >= 0):
            return f"time_seconds is {self.time_seconds!r}; use 0 or more"
        if self.decided_at.tzinfo is None:
            return "decided_at has no time zone; use UTC"
        return None


@dataclass(frozen=True)
class ReviewState:
    """Where a film stands.

    Attributes:
        state: `pending`, `approved` or `rejected`.
        decision: the decision that counts; None for pending. Its `scope` tells whether it was made by film or by
            picture, and `automatic` whether by a rule.
    """

    state: State
    decision: Decision | None = None

    @classmethod
    def by(cls, decision: Decision | None) -> ReviewState:
        """Return the state that a verdict leads to."""
        if decision is None or decision.kind not in VERDICTS:
            return PENDING
        return cls("approved" if decision.kind == "approved" else "rejected", decision)

    @property
    def scope(self) -> Scope | None:
        """Whether it was decided by film or by picture; None for pending."""
        return self.decision.scope if self.decision else None


PENDING = ReviewState("pending")


def _text_problem(name: str, value: object, limit: int) -> str | None:
    if not isinstance(value, str):
        return f"{name} is {value!r}; use text"
    if len(value) > limit:
        return f"{name} has {len(value)} characters; use at most {limit}"
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"{name} is not valid Unicode"
    return f"{name} contains a null character" if "\0" in value else None
