"""Apply the rules of a store's policy: decisions of rules are added to those of people, and never overrule them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from catalogs.review.columns import REVIEW_KEYS, reviewable
from catalogs.review.decision import Decision
from catalogs.review.decisions import Decisions
from catalogs.review.rules import Rule, outcomes, parse_rules
from catalogs.store.policy import read_policy
from catalogs.store.store import Store
from catalogs.table.snapshot import latest_rows, snapshot

__all__ = ["AutomaticReview", "apply_rules", "decisions_by_rule"]

_BACK = "review"
"""Rule that takes back what an earlier rule decided."""


@dataclass(frozen=True)
class AutomaticReview:
    """What rules say about films.

    Attributes:
        approved, rejected, review: number of films that they approve, reject, and leave to people.
        by_people: number of films about which a person decided, and rules do not.
    """

    approved: int = 0
    rejected: int = 0
    review: int = 0
    by_people: int = 0

    def line(self) -> str:
        """Return a summary in one line."""
        kept = f", {self.by_people} decided by people" if self.by_people else ""
        return f"rules: {self.approved} films approved, {self.rejected} rejected, {self.review} left to review{kept}"


def apply_rules(store: Store, run_id: str | None = None) -> AutomaticReview | None:
    """Decide about films by the rules of the policy; None if it has none and no earlier rule decided about a film.

    Can be repeated: what a rule has decided already is not decided again. A film that was decided by a rule and now is
    by another, or by none, gets a new decision, or the old one is undone. Films about which a person decided, or undid
    something, are left as they are.

    Args:
        run_id: only the films of this run.

    Raises:
        SettingsError: a rule is invalid.
        StoreError: the catalog or the decisions cannot be read or written.
    """
    rules, decisions = parse_rules(read_policy(store).review), Decisions(store)
    said = {(decision.scope, decision.key): decision for decision in decisions.all() if decision.automatic is not None}
    if not rules and all(last.kind == "undo" for last in said.values()):
        return None
    films = _films(store, rules, run_id)
    touched = decisions.touched_by_people()
    counts = {"approved": 0, "rejected": 0, "review": 0, "by_people": 0}
    new: list[Decision] = []
    keys = films.select(["render_key", "picture_key", "run_id", "job_id"]).to_pylist()
    for row, place in zip(keys, outcomes(rules, films).tolist(), strict=True):
        film = ("film", row["render_key"])
        if film in touched or ("picture", row["picture_key"]) in touched:
            counts["by_people"] += 1
            continue
        rule = rules[place] if place >= 0 else None
        counts[rule.verdict if rule else "review"] += 1
        if decision := _decision(row, rule, said.get(("film", row["render_key"]))):
            new.append(decision)
    decisions.add_all(new)
    return AutomaticReview(**counts)


def decisions_by_rule(store: Store, run_id: str, since: datetime) -> list[Decision]:
    """Return what rules decided since then about the films of a run.

    Raises:
        SettingsError: a rule is invalid.
        StoreError: the policy or the decisions cannot be read.
    """
    if not read_policy(store).review:
        return []
    return [
        decision
        for decision in Decisions(store).all()
        if decision.automatic is not None and decision.run_id == run_id and decision.decided_at >= since
    ]


def _decision(row: dict[str, Any], rule: Rule | None, last: Decision | None) -> Decision | None:
    """Return what a rule adds to the last decision of a rule; None for nothing."""
    standing = last if last is not None and last.kind != "undo" else None
    about: dict[str, Any] = {
        "scope": "film",
        "key": row["render_key"],
        "run_id": row["run_id"],
        "job_id": row["job_id"],
    }
    if rule is None or rule.verdict == "review":
        if standing is None:
            return None
        text = rule.text if rule else _BACK
        values = {"kind": "undo", "undoes": standing.decision_id}
    else:
        if standing is not None and (standing.kind, standing.automatic) == (rule.verdict, rule.text):
            return None
        text, values = rule.text, {"kind": rule.verdict}
    # Processes that apply the same rules at once make the same decision, which counts once.
    made = f"{text}\0{row['render_key']}\0{last.decision_id if last else ''}"
    number = hashlib.sha256(made.encode()).hexdigest()[:32]
    return Decision(reviewer="", automatic=text, decision_id=number, **about | values)


def _films(store: Store, rules: Sequence[Rule], run_id: str | None) -> pa.Table:
    """Return the latest row of each film that can be reviewed."""
    columns = [comparison.column for rule in rules for comparison in rule.comparisons]
    names = dict.fromkeys([*REVIEW_KEYS, "run_id", "job_id", "recorded_at", *columns])
    rows = latest_rows(snapshot(store, run_id).read(columns=list(names)))
    rows = rows.filter(reviewable(rows)).sort_by([("recorded_at", "ascending")])
    last = {film: place for place, film in enumerate(rows.column("render_key").to_pylist())}
    return rows.take(pa.array(list(last.values()), pa.int64()))
