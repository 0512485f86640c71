"""The review of films in rows, in SQL and as a filter."""

from __future__ import annotations

from typing import Any

import pytest

from catalogs.query.jobs import list_jobs
from catalogs.query.sql import sql
from catalogs.query.statistics import statistics
from catalogs.review.columns import REVIEW_COLUMNS
from catalogs.review.decision import Decision
from catalogs.review.decisions import Decisions
from catalogs.store.store import Store
from tests.catalogs.conftest import record, row
from tests.catalogs.review.test_decisions import made
from troupe.errors import NoFace, SettingsError

SHOWN = ["job_id", *REVIEW_COLUMNS]
PENDING = dict.fromkeys(REVIEW_COLUMNS) | {"review": "pending"}


@pytest.fixture
def films(folder_store: Store) -> Store:
    """A picture in two languages, a film without a picture key, a film twice, and a failure."""
    record(
        folder_store,
        "r1",
        [
            row("r1", "en", render_key="f1", picture_key="p1"),
            row("r1", "fr", render_key="f2", picture_key="p1"),
            row("r1", "old", render_key="f3"),
            row("r1", "none", "failed", error=NoFace("no face")),
        ],
    )
    record(folder_store, "r2", [row("r2", "again", "reused", render_key="f2", picture_key="p1")])
    return folder_store


def reviews(store: Store, **options: Any) -> dict[str, dict[str, Any]]:
    """The review columns by job, which must be the same in SQL."""
    rows = list_jobs(store, columns=SHOWN, **options).to_pylist()
    filters = {name: value for name, value in options.items() if name != "limit"}
    queried = sql(store, f"SELECT {', '.join(SHOWN)} FROM jobs", **filters).to_pylist()
    assert sorted(rows, key=str) == sorted(queried, key=str) or "limit" in options
    return {row.pop("job_id"): row for row in rows}


def test_states_in_rows_and_in_sql(films: Store) -> None:
    assert reviews(films) == dict.fromkeys(("en", "fr", "old", "again"), PENDING) | {
        "none": dict.fromkeys(REVIEW_COLUMNS)
    }
    decisions = Decisions(films)
    decisions.add_all([made(0, "approved", "p1", "picture"), made(1, "rejected", "f2", by="Bo", reason="mouth")])
    decisions.add_all(
        [made(2, "approved", "f3", by="", automatic="approve if identity > 0.1"), made(3, "comment", "f1", comment="!")]
    )
    found = reviews(films)
    assert {job: values["review"] for job, values in found.items()} == {
        "en": "approved",
        "fr": "rejected",
        "again": "rejected",
        "old": "approved",
        "none": None,
    }
    assert found["fr"] | {"reviewed_at": 0} == {
        "review": "rejected",
        "reviewer": "Bo",
        "review_reason": "mouth",
        "reviewed_at": 0,
    }
    assert found["old"]["reviewer"] == "rule: approve if identity > 0.1"
    assert set(reviews(films, review="approved")) == {"en", "old"}
    assert set(reviews(films, review="rejected", run="r1")) == {"fr"}
    assert not reviews(films, review="pending")
    assert len(reviews(films, limit=2, review="approved")) == 2
    assert statistics(films)["by_review"] == {"approved": 2, "rejected": 2}
    assert statistics(films, review="approved")["jobs"] == 2
    history = sql(films, "SELECT job_id, reviewer, kind FROM decisions ORDER BY decided_at").to_pylist()
    assert [line["kind"] for line in history] == ["approved", "rejected", "approved", "comment"]


def test_columns_are_there_where_a_query_may_use_them(films: Store) -> None:
    for query in (
        "FROM jobs",
        "SELECT * FROM rows",
        "DESCRIBE jobs",
        "SELECT review FROM (FROM jobs)",
        "WITH x AS (FROM jobs) FROM x",
        "SELECT COLUMNS('rev.*') FROM jobs",
    ):
        table = sql(films, query)
        names = table.column("column_name").to_pylist() if "column_name" in table.column_names else table.column_names
        assert "review" in names, query
    assert sql(films, "SELECT count(*) AS n FROM jobs").to_pylist() == [{"n": 5}]
    assert list_jobs(films).column_names[-4:] == list(REVIEW_COLUMNS)


def test_an_unknown_state_is_refused(folder_store: Store) -> None:
    with pytest.raises(SettingsError, match="unknown review 'good'; use one of pending, approved, rejected"):
        list_jobs(folder_store, review="good")


def test_the_review_of_an_earlier_time(folder_store: Store) -> None:
    record(folder_store, "r1", [row("r1", "a", render_key="f1")])
    first = Decision("Ana", "film", "f1", "approved")
    Decisions(folder_store).add(first)
    record(folder_store, "r2", [row("r2", "b", render_key="f2")])
    Decisions(folder_store).add(Decision("Ana", "film", "f1", "rejected"))
    for as_of, state in ((None, "rejected"), (first.decided_at, "approved"), (2, "approved"), (1, "pending")):
        assert reviews(folder_store, as_of=as_of)["a"]["review"] == state, as_of
