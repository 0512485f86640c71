"""The grid: filters in its address, orders, pages and cards."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

from catalogs.review.decisions import Decision
from flows.review.pages.grid import PAGE
from tests.catalogs.conftest import record, row
from tests.flows.review.conftest import Review, review_of
from tests.flows.review.stores import film, review_store
from troupe.errors import NoFace

NASTY = "\"><script>alert(1)</script>'"


def jobs(page: str) -> list[str]:
    """Return the jobs of the cards on a page, in order."""
    return [unescape(name) for name in re.findall(r'data-job="([^"]*)"', page)]


def test_pages_follow_each_other(tmp_path: Path, media: Path) -> None:
    review = review_of(review_store(tmp_path / "store", media, [film(n) for n in range(PAGE + 5)]))
    client = review.client()
    first = client.get("/grid?order=identity&review=&tag=").text
    assert len(jobs(first)) == PAGE
    more = re.search(r'data-more="([^"]*)"', first)
    assert more is not None
    query = unescape(more[1])
    assert "review" not in query
    rest = client.get(f"/grid/cards?{query}").text
    assert len({*jobs(first), *jobs(rest)}) == PAGE + 5
    assert "data-more" not in rest
    assert "<html" not in rest
    poster = re.search(r'<img src="([^"]*)"', first)
    assert poster is not None
    assert client.get(unescape(poster[1])).headers["content-type"] == "image/jpeg"


def test_filters_and_states(review: Review) -> None:
    client = review.client()
    assert jobs(client.get("/grid?identity=PERSON+1").text) == ["job-001"]
    assert jobs(client.get("/grid?language=fr").text) == ["job-000.fr"]
    assert jobs(client.get("/grid?status=failed").text) == ["failed-0"]
    assert jobs(client.get("/grid?max=identity%3D0.45&order=job").text) == ["job-000.en", "job-000.fr", "job-001"]
    key = film(1)["render_key"]
    review.context.decisions.add(Decision("ada", "film", key, "rejected", reason=NASTY))
    rejected = client.get("/grid?review=rejected").text
    assert jobs(rejected) == ["job-001"]
    assert "<script>alert" not in rejected
    assert len(jobs(client.get("/grid?review=pending").text)) == 4
    page = client.get("/grid?order=flicker&identity=%22%3E%3Cscript%3E&min=identity%3D0.1").text
    assert 'value="&#34;&gt;&lt;script&gt;"' in page
    assert '<option value="flicker" selected>' in page


@pytest.mark.parametrize(
    "query", ["order=secret", "review=secret", "scope=x", "status=x", "min=x", "after=x", "since=x", "max=nothing%3D1"]
)
def test_invalid_addresses_are_refused(review: Review, query: str) -> None:
    answer = review.client().get(f"/grid?{query}")
    assert answer.status_code == 400
    assert review.client().get(f"/grid/cards?{query}").status_code == 400


def test_texts_of_rows_are_escaped(review: Review) -> None:
    rows = [
        film(7, identity=NASTY, language=NASTY, flagged=NASTY) | {"job_id": NASTY},
        row("r1", "bad", "failed", error=NoFace(NASTY), identity=NASTY),
    ]
    record(review.context.store, "r1", rows)
    page = review.client().get("/grid").text
    assert NASTY in jobs(page)
    assert "<script>alert" not in page


def test_only_for_those_who_are_signed_in(review: Review) -> None:
    assert review.client(signed_in=False).get("/grid").status_code == 403
    assert review.client(signed_in=False).get("/grid/cards").status_code == 403
