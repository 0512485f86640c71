"""Identities: everything of one person."""

from __future__ import annotations

from datetime import date
from html import unescape

from catalogs.consent.permission import Permission
from catalogs.consent.register import add_permissions, mark_revoked
from catalogs.retention.forget import forget
from catalogs.review.decisions import Decision
from tests.catalogs.conftest import record
from tests.flows.review.conftest import Review
from tests.flows.review.stores import film

NASTY = "<script>alert(1)</script>"


def test_the_list_of_people(review: Review) -> None:
    permissions = [
        Permission("release-1", "person 1", valid_until=date(2020, 1, 1)),
        Permission("release-2", "PERSON 2"),
        Permission("release-3", NASTY),
    ]
    add_permissions(review.context.store, permissions)
    page = review.client().get("/identities").text
    for text in ("Person 0", "Person 3", "expired", "valid", "5 people"):
        assert text in page
    assert "<script>alert" not in page
    assert NASTY in unescape(page)
    found = review.client().get("/identities?search=SON+3").text
    assert "Person 3" in found
    assert "Person 0" not in found
    assert "Nobody" in review.client().get("/identities?search=%3Cscript%3Ex").text


def test_everything_of_a_person(review: Review) -> None:
    store, key = review.context.store, film(1)["render_key"]
    record(store, "r2", [film(8, run="r2", identity="PERSON  1")])
    add_permissions(store, [Permission("release 1", "person 1", document="a.pdf"), Permission("gone", "Person 1")])
    mark_revoked(store, "gone", "by letter")
    decision = Decision("Bo", "film", key, "rejected", reason=NASTY, run_id="r1", job_id="job-001")
    review.context.decisions.add(decision)
    review.context.decisions.add(Decision("Bo", "film", film(2)["render_key"], "approved", job_id="job-002"))
    answer = review.client().get("/identity?label=pErSoN+1")
    page = unescape(answer.text)
    assert "<script>alert" not in answer.text
    for text in ("also written PERSON  1", "job-001", "job-008", "by letter", "release 1", NASTY, "by Bo"):
        assert text in page
    assert "job-002" not in page
    assert "troupe forget --identity 'Person 1' --store" in page
    assert "troupe consent revoke 'release 1' --reason" in page
    assert "consent revoke gone" not in page


def test_a_forgotten_person(review: Review) -> None:
    forget(review.context.store, "Person 1")
    page = unescape(review.client().get("/identity?label=Person+1").text)
    assert "forget list" in page
    assert "troupe consent add REFERENCE --identity 'Person 1' --store" in page
    assert "/media/" not in page


def test_nobody(review: Review) -> None:
    client = review.client()
    assert client.get("/identity?label=nobody").status_code == 404
    assert client.get("/identity").status_code == 404
    assert review.client(signed_in=False).get("/identities").status_code == 403
