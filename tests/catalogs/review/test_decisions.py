"""catalogs.review.decisions: nothing is lost, nothing counts twice, and the last verdict counts."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from deltalake import write_deltalake

from catalogs.review import log
from catalogs.review.decision import Decision
from catalogs.review.decisions import Decisions
from catalogs.store.store import Store
from troupe.errors import SettingsError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def made(minute: int, kind: Any, key: str = "f1", scope: Any = "film", by: str = "Ana", **values: Any) -> Decision:
    """A decision at some minutes past noon."""
    return Decision(by, scope, key, kind, decided_at=NOON + timedelta(minutes=minute), **values)


def state(decisions: Decisions, film: str = "f1", picture: str | None = "p1") -> str:
    return decisions.of([film], [picture])[film].state


def test_decisions_in_every_kind_of_store(store: Store) -> None:
    mine, others = Decisions(store), Decisions(store)
    assert state(mine) == "pending"
    first = made(0, "rejected", reason="mouth", time_seconds=1.5, run_id="r", job_id="j")
    assert mine.add(first)
    assert not others.add(first)
    assert others.of(["f1", "f2"])["f1"].decision == first
    assert state(others, "f2") == "pending"
    others.add(made(1, "comment", comment="look\nhere <script>"))
    assert mine.history("f1") == others.all() == Decisions(store).all()
    assert [decision.kind for decision in mine.history("f1", "p1")] == ["rejected", "comment"]
    assert Decisions(store, until=NOON).all() == [first]


def test_the_last_decision_counts_be_it_by_film_or_by_picture(folder_store: Store) -> None:
    decisions = Decisions(folder_store)
    by_picture = made(0, "approved", "p1", "picture")
    decisions.add(by_picture)
    assert decisions.of(["f1", "f2"], ["p1", "p1"])["f2"].scope == "picture"
    film = made(1, "rejected")
    decisions.add(film)
    assert (state(decisions), state(decisions, "f2")) == ("rejected", "approved")
    decisions.add(made(2, "rejected", "p1", "picture", "Bo"))
    decisions.add(made(-9, "approved", by="Bo"))  # by a clock that is late
    assert state(decisions, "f2") == "rejected"
    decisions.add(made(3, "undo", undoes=film.decision_id))
    assert decisions.of(["f1"], ["p1"])["f1"].scope == "picture"
    assert set(decisions.verdicts()) == {("film", "f1"), ("picture", "p1")}


def test_a_person_is_never_overruled_by_a_rule(folder_store: Store) -> None:
    decisions = Decisions(folder_store)
    rule = made(0, "approved", by="", automatic="approve if identity >= 0.6")
    decisions.add(rule)
    assert decisions.of(["f1"])["f1"].decision == rule
    assert rule.shown_reviewer == "rule: approve if identity >= 0.6"
    mine = made(1, "rejected", "p1", "picture")
    decisions.add(mine)
    decisions.add(made(2, "approved", by="", automatic="approve if identity >= 0.5"))
    assert state(decisions) == "rejected"
    decisions.add(made(3, "undo", "p1", "picture", undoes=mine.decision_id))
    assert state(decisions) == "approved"
    assert decisions.touched_by_people() == {("picture", "p1")}


def test_only_what_exists_can_be_undone(folder_store: Store) -> None:
    decisions = Decisions(folder_store)
    first, undo = made(0, "approved"), made(1, "undo", undoes="0" * 32)
    decisions.add(first)
    for wrong, message in (
        (undo, "no decision 0000"),
        (made(1, "undo", "f2", undoes=first.decision_id), "about another film"),
    ):
        with pytest.raises(SettingsError, match=message):
            decisions.add_all([made(1, "rejected"), wrong])
    assert decisions.all() == [first]
    decisions.add(undo := made(2, "undo", undoes=first.decision_id))
    assert state(decisions) == "pending"
    with pytest.raises(SettingsError, match="decide again instead"):
        decisions.add(made(3, "undo", undoes=undo.decision_id))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "maybe"}, "use one of approved, rejected, comment, undo"),
        ({"scope": "store"}, "use film or picture"),
        ({"key": ""}, "key is empty"),
        ({"reviewer": "  "}, "give a name"),
        ({"reviewer": "Rule: approve"}, "only rules are called"),
        ({"reviewer": "a" * 201}, "at most 200"),
        ({"reason": "\udcff"}, "not valid Unicode"),
        ({"reason": "a\0"}, "null character"),
        ({"kind": "comment"}, "comment is empty"),
        ({"kind": "undo"}, "undoes must be given"),
        ({"undoes": "0" * 32}, "only for one"),
        ({"decision_id": "1"}, "32 hex digits"),
        ({"time_seconds": float("nan")}, "use 0 or more"),
        ({"decided_at": datetime(2026, 3, 1)}, "no time zone"),
    ],
)
def test_invalid_decisions_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Decision(**{"reviewer": "Ana", "scope": "film", "key": "f1", "kind": "approved"} | values)


def test_a_decision_whose_answer_is_lost_is_stored_once(folder_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def lossy(*args: Any, **kwargs: Any) -> None:
        write_deltalake(*args, **kwargs)
        if next(lost):
            raise OSError("Generic S3 error: connection reset")

    lost = iter([True, False])
    monkeypatch.setattr("catalogs.store.retry.time.sleep", lambda _: None)
    monkeypatch.setattr(log, "write_deltalake", lossy)
    decisions = Decisions(folder_store)
    assert decisions.add(made(0, "approved"))
    assert decisions.add(made(1, "rejected"))
    assert len(folder_store.list("decisions/_delta_log")) == 3


def test_small_files_are_merged(folder_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_MAX_FILES", 4)
    decisions, others = Decisions(folder_store), Decisions(folder_store)
    for n in range(11):
        decisions.add(made(n, "approved", f"f{n}"))
        assert len(others.all()) == n + 1
    assert len(Decisions(folder_store).all()) == 11


def decide(store: Store, by: str) -> int:
    """Decide about 100 films, the first ones one after the other and from threads, the others in one commit."""
    decisions = Decisions(store)
    lines = [[made(n, "approved", f"f{n}", by=by), made(n, "comment", f"f{n}", by=by, comment="!")] for n in range(100)]
    first = sum(decisions.add_all(pair) for pair in lines[:4])
    with ThreadPoolExecutor(4) as threads:
        second = sum(threads.map(decisions.add_all, lines[4:8]))
    return first + second + decisions.add_all(line for pair in lines[8:] for line in pair)


def check_both(store: Store) -> None:
    found = Decisions(store).all()
    assert Counter(decision.reviewer for decision in found) == {"Ana": 200, "Bo": 200}
    assert len({decision.decision_id for decision in found}) == 400


def test_two_processes_at_once_lose_nothing(folder_store: Store) -> None:
    """From the very first decision, which makes the table."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(decide, [folder_store] * 2, ["Ana", "Bo"])) == [200, 200]
    check_both(folder_store)


def test_two_reviewers_at_once_lose_nothing(store: Store) -> None:
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(decide, [store] * 2, ["Ana", "Bo"])) == [200, 200]
    check_both(store)
