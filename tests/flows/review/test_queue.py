"""flows.review.pages.queue: what comes next, for one reviewer and for two."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from flows.review import make_app
from flows.review.claiming import SessionClaims
from tests.flows.review.conftest import HOST, Review, review_of
from tests.flows.review.stores import film, review_store


def jobs(client: TestClient, **parameters: str) -> list[str]:
    """Return the names of the whole queue's items."""
    found: list[str] = []
    while True:
        page = client.get("/api/queue", params=parameters).json()
        found += [item["job"] for item in page["items"]]
        if not page["after"]:
            return found
        parameters["after"] = page["after"]


def decide(review: Review, client: TestClient, kind: str, row: dict[str, Any], **values: Any) -> dict[str, Any]:
    """Decide about a film as the page does."""
    headers = {"Origin": HOST, "X-CSRF-Token": review.csrf(client)}
    body = {"kind": kind, "scope": "film", "key": row["render_key"], "picture": row["picture_key"], **values}
    answer: dict[str, Any] = client.post("/api/decisions", json=body, headers=headers).json()
    return answer


def test_every_film_comes_once_and_decided_ones_leave(review: Review) -> None:
    client = review.client()
    assert jobs(client, order="job") == ["job-000.en", "job-000.fr", "job-001", "job-002", "job-003"]
    assert jobs(client, order="job", state="all")[0] == "failed-0"
    assert jobs(client, order="identity")[0].startswith("job-000"), "the worst first"
    assert jobs(client, max="identity=0.46", order="job") == ["job-000.en", "job-000.fr", "job-001"]
    assert decide(review, client, "approved", film(2))["review"]["state"] == "approved"
    rejected = decide(review, client, "rejected", film(3), reason="eyes")
    assert [entry["reason"] for entry in rejected["history"]] == ["eyes"]
    assert jobs(client, order="job") == ["job-000.en", "job-000.fr", "job-001"]
    assert jobs(client, state="approved") == ["job-002"]
    counts = client.get("/api/queue").json()["counts"]
    assert counts == {"pending": 3, "approved": 1, "rejected": 1}
    decide(review, client, "approved", film(0, "en"), scope="picture", key=film(0)["picture_key"])
    assert jobs(client) == ["job-001"]
    assert client.get("/api/queue", params={"scope": "picture"}).json()["counts"]["approved"] == 2


def test_a_decision_that_is_sent_twice_counts_once(review: Review) -> None:
    client = review.client()
    for _ in range(2):
        decide(review, client, "approved", film(1), decision_id="a" * 32)
    assert len(review.context.decisions.all()) == 1
    undone = decide(review, client, "undo", film(1), undoes="a" * 32)
    assert undone["review"]["state"] == "pending"


def test_a_render_that_runs_reuse_is_one_item_with_one_decision(tmp_path: Path, media: Path) -> None:
    rows = [film(1), film(1, run="r2", status="reused"), film(2, run="r2")]
    review = review_of(review_store(tmp_path / "store", media, rows))
    client = review.client()
    assert client.get("/api/queue").json()["counts"]["pending"] == 2
    decide(review, client, "approved", film(1))
    assert jobs(client) == ["job-002"]


def test_two_reviewers_get_different_items(review: Review) -> None:
    context = replace(review.context, claims=SessionClaims(review.context.store))
    review = Review(context, make_app(context))
    first, second = review.client(), review.client()
    mine = jobs(first, order="job")
    assert mine == ["job-000.en", "job-000.fr", "job-001", "job-002", "job-003"]
    assert jobs(second) == []
    assert jobs(first, order="job") == mine, "also after a reload"
    headers = {"Origin": HOST, "X-CSRF-Token": review.csrf(second)}
    claim = film(1)["picture_key"]
    assert second.post("/api/claims", json={"items": [claim]}, headers=headers).json() == {"items": []}
    headers["X-CSRF-Token"] = review.csrf(first)
    assert first.post("/api/claims", json={"items": [claim]}, headers=headers).json() == {"items": [claim]}
    # The claim of a picture ends with its last film's decision.
    answer = decide(review, first, "approved", film(1), film=film(1)["render_key"])
    decide(review, first, "undo", film(1), undoes=answer["history"][-1]["id"], film=film(1)["render_key"])
    assert jobs(second) == ["job-001"]


def test_the_queue_starts_with_the_state_of_the_command(review: Review) -> None:
    decide(review, review.client(), "rejected", film(1), reason="eyes")
    rejected = review_of(review.context.store, review="rejected").client()
    assert jobs(rejected) == ["job-001"]
    assert "<option selected>rejected" in rejected.get("/").text
    assert "job-001" not in jobs(rejected, state="pending")


@pytest.mark.slow
def test_two_browsers_decide_at_once(tmp_path: Path, media: Path) -> None:
    """Of 200 decisions by two commands over one store none is lost and none stored twice."""
    rows = [film(n) for n in range(100)]
    store = review_store(tmp_path / "store", media, rows)

    def go_through(review: Review, kind: str) -> None:
        client = review.client()
        headers = {"Origin": HOST, "X-CSRF-Token": review.csrf(client)}
        for row in rows:
            body = {"kind": kind, "scope": "film", "key": row["render_key"], "decision_id": f"{kind}{row['job_id']}"}
            body["decision_id"] = hashlib.md5(body["decision_id"].encode()).hexdigest()
            for _ in range(2):  # as after an answer that was lost
                assert client.post("/api/decisions", json=body, headers=headers).status_code == 200

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(go_through, [review_of(store), review_of(store)], ["approved", "rejected"]))
    decisions = review_of(store).context.decisions.all()
    assert len(decisions) == len({decision.decision_id for decision in decisions}) == 200


def test_reasons_are_a_list_that_reviewers_edit(review: Review) -> None:
    client = review.client()
    headers = {"Origin": HOST, "X-CSRF-Token": review.csrf(client), "Accept": "application/json"}
    wanted = [" too   dark ", "eyes", "eyes", ""]
    assert client.post("/api/reasons", json={"reasons": wanted}, headers=headers).json()["reasons"] == [
        "too dark",
        "eyes",
    ]
    assert "too dark" in client.get("/").text
    assert client.post("/api/reasons", json={"reasons": ["x" * 300]}, headers=headers).status_code == 400
    assert client.post("/api/reviewer", json={"name": " Ana  Lund "}, headers=headers).json() == {
        "reviewer": "Ana Lund"
    }
    decide(review, client, "approved", film(1))
    assert [decision.reviewer for decision in review.context.decisions.all()] == ["Ana Lund"]
    for name in ("", " ", "a\nb\x00", "x" * 101):
        assert client.post("/api/reviewer", json={"name": name}, headers=headers).status_code == 400
