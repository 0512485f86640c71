"""flows.review.security: nothing without the token, from another site or under another name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.catalogs.conftest import record
from tests.catalogs.report.test_page import NASTY, Page
from tests.flows.review.conftest import HOST, Review, review_of
from tests.flows.review.stores import film, review_store

PATHS = ("/", "/?status=done", "/job?run=r1&job=job-001", "/api/queue", "/api/job?run=r1&job=job-001", "/nothing")
APPROVED = {"kind": "approved", "scope": "film", "run_id": "r1", "job_id": "job-001"}


def decision(review: Review) -> dict[str, Any]:
    """An approval of a film of the store."""
    return {**APPROVED, "key": film(1)["render_key"]}


def test_the_token_is_exchanged_for_a_cookie(review: Review) -> None:
    client = review.client(signed_in=False)
    assert client.get("/").status_code == 403
    assert client.get("/?token=wrong").status_code == 403
    assert client.get("/?token=%C3%A4").status_code == 403
    answer = client.get(f"/?token={review.context.secrets.token}&status=done", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/?status=done")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/").status_code == 200
    elsewhere = client.get(f"//evil.example/?token={review.context.secrets.token}", follow_redirects=False)
    assert not elsewhere.headers.get("location", "/").startswith("//")


@pytest.mark.parametrize("cookie", [None, "x", "abc.def", "é.é"])
def test_without_a_session_nothing_is_shown_or_written(review: Review, cookie: str | None) -> None:
    client = review.client(signed_in=False)
    media = review.context.media.video(film(1))
    headers = {"Cookie": f"troupe={cookie}".encode()} if cookie else {}
    for path in (*PATHS, media):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 403
        assert "job-" not in answer.text
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert client.post("/api/decisions", json=decision(review), headers=headers | {"Origin": HOST}).status_code == 403
    assert review.context.decisions.all() == []


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8700", "10.0.0.7:8700", "", "[::1", "a@b"])
def test_other_names_of_the_server_are_refused(review: Review, host: str) -> None:
    """A page whose name an attacker lets resolve to 127.0.0.1 has that name as Host."""
    for path in (*PATHS, f"/?token={review.context.secrets.token}"):
        assert review.client().get(path, headers={"Host": host}).status_code == 400


def test_writing_needs_origin_and_csrf_token(review: Review) -> None:
    client = review.client()
    csrf = review.csrf(client)
    good = {"Origin": HOST, "X-CSRF-Token": csrf}
    bad: list[dict[str, str]] = [
        {"X-CSRF-Token": csrf},
        {**good, "Origin": "http://evil.example"},
        {**good, "Origin": "null"},
        {**good, "Origin": HOST.replace("http", "https")},
        {**good, "Origin": "http://127.0.0.1:9999"},
        {**good, "Sec-Fetch-Site": "cross-site"},
        {**good, "Sec-Fetch-Site": "same-site"},
        {"Origin": HOST},
        {**good, "X-CSRF-Token": csrf[::-1]},
        {**good, "X-CSRF-Token": review.context.secrets.csrf("another session")},
    ]
    for headers in bad:
        assert client.post("/api/decisions", json=decision(review), headers=headers).status_code == 403, headers
    form = {**decision(review), "csrf": "guess"}
    assert client.post("/api/decisions", data=form, headers={"Origin": HOST}).status_code == 403
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = client.request(method, "/api/decisions", headers=good)
        assert answer.status_code == 405
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert client.get("/api/decisions").status_code == 405
    assert review.context.decisions.all() == []
    assert client.post("/api/decisions", json=decision(review), headers=good).json()["review"]["state"] == "approved"
    assert client.post("/api/decisions", data={**decision(review), "csrf": csrf}, headers={"Origin": HOST}).is_success
    assert len(review.context.decisions.all()) == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b"\xff", 400),
        (b"{}", 400),
        (b"[" * 60_000, 400),
        (b'{"kind": "approved", "scope": "film", "key": "no such"}', 400),
        (b'{"kind": "approved", "scope": "film", "key": ["x"]}', 400),
        (b'{"kind": "approved", "scope": "film", "key": "' + b"x" * 70_000 + b'"}', 400),
    ],
)
def test_unreadable_writes_are_refused(review: Review, body: bytes, status: int) -> None:
    client = review.client()
    headers = {"Origin": HOST, "X-CSRF-Token": review.csrf(client), "Content-Type": "application/json"}
    answer = client.post("/api/decisions", content=body, headers=headers | {"Accept": "application/json"})
    assert answer.status_code == status
    assert answer.json()["error"]
    assert review.context.decisions.all() == []


@pytest.mark.parametrize(
    "query",
    [
        {"state": "../x"},
        {"scope": NASTY},
        {"order": NASTY},
        {"min": "x=y"},
        {"min": f"{NASTY}=1"},
        {"since": NASTY},
        {"status": "../../etc/passwd"},
        {"after": "../../etc/passwd"},
        {"after": NASTY},
    ],
)
def test_invalid_filters_are_explained_not_run(review: Review, query: dict[str, str]) -> None:
    client = review.client()
    for path in ("/", "/api/queue"):
        answer = client.get(path, params=query)
        if answer.status_code != 200:  # the page itself has no cursor
            assert answer.status_code == 400
            page = Page(answer.text)
            assert page.all("script") == []
            assert "img" not in {tag for tag, _ in page.elements}


def test_any_text_is_a_filter(review: Review) -> None:
    for name in ("identity", "driving", "language", "run", "error_kind", "picture", "tag"):
        answer = review.client().get("/api/queue", params={name: f"../../etc/passwd{NASTY}"})
        assert answer.json()["items"] == []


def test_html_in_rows_stays_text(tmp_path: Path, media: Path) -> None:
    """Script in every text column, shown by every page."""
    texts = ("identity", "error", "flagged", "notes", "language", "audio", "preset", "driving", "portrait", "fit")
    entry = film(1) | dict.fromkeys(texts, NASTY) | {"job_id": NASTY, "tags": [(NASTY, NASTY)]}
    store = review_store(tmp_path / "store", media, [film(2)])
    record(store, "r1", [entry | {"error_kind": NASTY, "consent": NASTY, "worker": NASTY, "seconds": 1.0}])
    review = review_of(store)
    client = review.client()
    clean = Page(client.get("/job", params={"run": "r1", "job": "job-002"}).text)
    page = Page(client.get("/job", params={"run": "r1", "job": NASTY}).text)
    assert len(page.all("script")) == len(clean.all("script"))
    assert all(script.get("nonce") for script in page.all("script"))
    assert page.all("img") == []
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert NASTY in page.text
    items = client.get("/api/queue")
    assert items.headers["content-type"] == "application/json"
    assert {NASTY, "job-002"} == {item["job"] for item in items.json()["items"]}


def test_every_answer_has_the_headers(review: Review) -> None:
    client = review.client()
    for path in (
        *PATHS,
        "/static/base.css",
        "/static/player.js",
        "/static/../app.py",
        review.context.media.video(film(1)),
    ):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers
    nonces = {client.get("/").headers["content-security-policy"] for _ in range(2)}
    assert len(nonces) == 2


def test_static_files_stay_in_their_folder(review: Review) -> None:
    client = review.client()
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/..%2f..%2fapp.py"):
        assert client.get(path).status_code in (403, 404)
