"""catalogs.review.automatic: rules decide about what people did not decide about."""

from __future__ import annotations

import pytest

from catalogs.query.jobs import list_jobs
from catalogs.retention.store_policy import change_policy
from catalogs.review.automatic import AutomaticReview, apply_rules
from catalogs.review.decision import Decision
from catalogs.review.decisions import Decisions
from catalogs.store.policy import POLICY_FILE, StorePolicy, policy_from_toml, policy_to_toml
from catalogs.store.store import Store
from catalogs.table.audit import read_audit
from tests.catalogs.conftest import record, row
from troupe.errors import NoFace, SettingsError

RULES = ["approve if identity >= 0.6", "reject if flicker > 5"]


@pytest.fixture
def measured(folder_store: Store) -> Store:
    """Films f1 to f4, whose identity is 0.1 to 0.7; the last one twice, and measured only in the later run."""
    record(
        folder_store,
        "r1",
        [
            row("r1", "a", render_key="f1", quality_identity=0.1, quality_flicker=9.0),
            row("r1", "b", render_key="f2", picture_key="p2", quality_identity=0.3, quality_flicker=1.0),
            row("r1", "c", render_key="f3", picture_key="p2", quality_identity=0.65),
            row("r1", "d", render_key="f4"),
            row("r1", "e", "failed", error=NoFace("none")),
        ],
    )
    record(folder_store, "r2", [row("r2", "d", "reused", render_key="f4", quality_identity=0.7)])
    return folder_store


def states(store: Store) -> dict[str, tuple[str, str | None]]:
    rows = list_jobs(store, columns=["render_key", "review", "reviewer"], status="done").to_pylist()
    return {row["render_key"]: (row["review"], row["reviewer"]) for row in rows}


def test_rules_decide_and_are_named(measured: Store) -> None:
    assert apply_rules(measured) is None
    change_policy(measured, {"review": RULES})
    assert apply_rules(measured, "r1") == AutomaticReview(approved=1, rejected=1, review=2)
    assert apply_rules(measured) == AutomaticReview(approved=2, rejected=1, review=1)
    assert states(measured) == {
        "f1": ("rejected", f"rule: {RULES[1]}"),
        "f2": ("pending", None),
        "f3": ("approved", f"rule: {RULES[0]}"),
        "f4": ("approved", f"rule: {RULES[0]}"),
    }
    history = Decisions(measured).all()
    apply_rules(measured)
    assert Decisions(measured).all() == history
    (entry,) = read_audit(measured)
    assert entry.facts["review"] == {"before": [], "after": RULES}


def test_changed_rules_decide_again_and_the_history_stays(measured: Store) -> None:
    for rules in (RULES, ["reject if identity < 0.2"], [], RULES):
        change_policy(measured, {"review": rules})
        apply_rules(measured)
        assert states(measured)["f1"][0] == ("rejected" if rules else "pending")
    assert [(d.kind, d.automatic) for d in Decisions(measured).history("f1")] == [
        ("rejected", RULES[1]),
        ("rejected", "reject if identity < 0.2"),
        ("undo", "review"),
        ("rejected", RULES[1]),
    ]


def test_people_are_not_overruled(measured: Store) -> None:
    decisions = Decisions(measured)
    decisions.add(Decision("Ana", "film", "f4", "rejected"))
    decisions.add(Decision("Ana", "picture", "p2", "rejected"))
    decisions.add(Decision("Ana", "film", "f1", "comment", comment="!"))
    change_policy(measured, {"review": ["approve otherwise"]})
    assert apply_rules(measured) == AutomaticReview(approved=1, by_people=3)
    (approved,) = (verdict for verdict in decisions.verdicts().values() if verdict.automatic)
    decisions.add(Decision("Ana", "film", "f1", "undo", undoes=approved.decision_id))
    change_policy(measured, {"review": ["approve if identity < 5"]})
    assert apply_rules(measured) == AutomaticReview(by_people=4)
    assert states(measured)["f1"][0] == "pending"


def test_an_invalid_rule_is_refused_before_anything_is_changed(measured: Store) -> None:
    with pytest.raises(SettingsError, match="unknown column 'idenity'"):
        change_policy(measured, {"review": ["approve if idenity > 1"]})
    assert not measured.exists(POLICY_FILE)
    for content, message in ((b"review = 'x'", "write one list"), (b"review = [1]", "write one list")):
        with pytest.raises(SettingsError, match=message):
            policy_from_toml(content, "policy.toml")
    policy = StorePolicy(review=("review  otherwise",)).changed({"review": ["approve  if identity > 1"]})
    assert policy_from_toml(policy_to_toml(policy), "x") == StorePolicy(review=("approve if identity > 1",))
    assert b"review" not in policy_to_toml(StorePolicy())
