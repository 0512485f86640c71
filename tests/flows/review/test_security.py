"""flows.review.security: nothing without the token, from another site or under another name."""

from __future__ import annotations

from tests.flows.review.conftest import Review


def test_the_token_is_exchanged_for_a_cookie(review: Review) -> None:
    client = review.client(signed_in=False)
    assert client.get("/").status_code == 403
    assert client.get("/?token=wrong").status_code == 403
    answer = client.get(f"/?token={review.context.secrets.token}&status=done", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/?status=done")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/").status_code == 200
