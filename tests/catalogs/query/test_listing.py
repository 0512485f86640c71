"""Pages of a listing: every order, filter and cursor, against the catalog's own listing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from catalogs.query.job_index import JobIndex
from catalogs.query.jobs import list_jobs
from catalogs.query.listing import ORDERS, JobPage, list_page
from catalogs.review.decisions import Decision, Decisions
from catalogs.store.store import Store
from tests.catalogs.conftest import record, row
from troupe.errors import NoFace, SettingsError


@pytest.fixture
def measured(folder_store: Store) -> Store:
    """A store with many equal and some missing measures."""
    random = np.random.default_rng(0)
    rows = [
        row(
            "r1",
            f"job-{n:03}",
            identity=f"person {n % 7}",
            quality_identity=round(float(random.random()), 1) if n % 5 else None,
            quality_flicker=round(float(random.random()) * 4, 1),
            sync_offset_frames=int(random.integers(-3, 4)),
            tags=[("scene", str(n % 3))],
        )
        for n in range(100)
    ]
    record(folder_store, "r1", rows)
    return folder_store


def pages(store: Store, order: str, size: int = 17, **filters: Any) -> list[JobPage]:
    """Return all pages of a listing."""
    index, after, found = JobIndex(store, check_seconds=0), "", []
    while True:
        found.append(list_page(index, filters, order=order, after=after, limit=size))
        after = found[-1].after
        if not after:
            return found


def jobs(found: list[JobPage]) -> list[str]:
    return [entry["job_id"] for page in found for entry in page.rows]


@pytest.mark.parametrize("order", ORDERS)
def test_pages_are_parts_of_one_order(measured: Store, order: str) -> None:
    whole, parts = pages(measured, order, 1000), pages(measured, order)
    assert [len(page.rows) for page in parts] == [17] * 5 + [15]
    assert {page.total for page in parts} == {100}
    assert jobs(parts) == jobs(whole)
    assert len(set(jobs(whole))) == 100


def test_orders(measured: Store) -> None:
    newest = list_jobs(measured).column("job_id").to_pylist()
    assert jobs(pages(measured, "newest")) == newest
    assert jobs(pages(measured, "oldest")) == newest[::-1]
    assert jobs(pages(measured, "job")) == sorted(newest)
    worst = [entry["quality_identity"] for page in pages(measured, "identity") for entry in page.rows]
    assert worst == sorted(value for value in worst if value is not None) + [None] * 20
    flicker = [entry["quality_flicker"] for page in pages(measured, "flicker") for entry in page.rows]
    assert flicker == sorted(flicker, reverse=True)
    late = pages(measured, "sync_offset_frames")
    offsets = [abs(entry["sync_offset_frames"]) for page in late for entry in page.rows]
    assert offsets == sorted(offsets, reverse=True)


@pytest.mark.parametrize(
    "filters",
    [
        {"identity": "PERSON  3"},
        {"tags": ["scene=1"]},
        {"least": {"flicker": 2.0}, "most": {"identity": 0.5}},
        {"driving": "wave.mp4", "status": "done"},
        {"status": "failed"},
        {"run": "r1", "job": "job-007"},
        {"language": "FR"},
        {"most": {"frames": 10}},
    ],
)
def test_filters_are_those_of_the_catalog(measured: Store, filters: dict[str, Any]) -> None:
    expected = list_jobs(measured, **filters).column("job_id").to_pylist()
    found = pages(measured, "newest", **filters)
    assert jobs(found) == expected
    assert found[0].total == len(expected)


def test_rows_that_are_added_move_nothing(measured: Store) -> None:
    index = JobIndex(measured, check_seconds=0)
    first = list_page(index, {}, order="identity", limit=50)
    record(measured, "r2", [row("r2", f"new-{n}", quality_identity=0.0) for n in range(10)])
    second = list_page(index, {}, order="identity", after=first.after, limit=100)
    assert len(first.rows) + len(second.rows) == 100
    assert second.total == 110


def test_states_of_review(folder_store: Store) -> None:
    rows = [row("r1", f"job-{n}", render_key=f"film-{n}", picture_key=f"picture-{n // 2}") for n in range(6)]
    rows.append(row("r1", "job-6", "failed", render_key="film-6", error=NoFace("no face")))
    record(folder_store, "r1", rows)
    decisions, index = Decisions(folder_store), JobIndex(folder_store)
    decisions.add(Decision("Ana", "film", "film-0", "approved"))
    rejection = Decision("Ana", "picture", "picture-1", "rejected", reason="mouth")
    decisions.add(rejection)

    def found(state: str) -> list[str]:
        return [entry["job_id"] for entry in page(state).rows]

    def page(state: str) -> JobPage:
        return list_page(index, {}, order="job", decisions=decisions, review=state)

    assert found("approved") == ["job-0"]
    assert found("rejected") == ["job-2", "job-3"]
    assert found("pending") == ["job-1", "job-4", "job-5"]
    states = [entry["review"] and entry["review"].state for entry in page("").rows]
    assert states == ["approved", "pending", "rejected", "rejected", "pending", "pending", None]
    decisions.add(Decision("Bo", "film", "film-2", "approved"))
    decisions.add(Decision("Ana", "picture", "picture-1", "undo", undoes=rejection.decision_id))
    assert found("approved") == ["job-0", "job-2"]
    assert found("rejected") == []
    with pytest.raises(SettingsError, match="unknown state of review"):
        page("secret")


@pytest.mark.parametrize(
    "cursor", ["x", "....", "W10", "WyJuZXdlc3QiLDEsMiwzXQ", "é", "WyJuZXdlc3QiLDEsIlx1ZDgwMCIsIngiXQ"]
)
def test_invalid_cursors_are_refused(measured: Store, cursor: str) -> None:
    with pytest.raises(SettingsError, match="invalid cursor"):
        list_page(JobIndex(measured), {}, after=cursor)


def test_a_cursor_belongs_to_its_order(measured: Store) -> None:
    index = JobIndex(measured)
    after = list_page(index, {}, order="identity", limit=10).after
    with pytest.raises(SettingsError, match="invalid cursor"):
        list_page(index, {}, order="flicker", after=after)
    with pytest.raises(SettingsError, match="unknown order"):
        list_page(index, {}, order="secret")
