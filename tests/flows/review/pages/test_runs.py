"""Pages of runs: the list, one run, and its events over a connection."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime
from html import unescape

import pytest

from catalogs.store.store import Store
from catalogs.table.runs import RunInfo, write_run
from flows.review.live import RunFeeds
from flows.review.pages.runs import _stream
from tests.catalogs.conftest import record, row
from tests.flows.review.conftest import Review
from troupe.errors import NoFace

NASTY = "<script>alert(1)</script>"


def write(review: Review, run_id: str = "r9", state: str = "running", **changes: object) -> None:
    now = datetime.now(UTC)
    write_run(review.context.store, RunInfo(run_id, state, now, now, **{"jobs": 4, "where": NASTY, **changes}))  # type: ignore[arg-type]


def test_the_list_of_runs(review: Review) -> None:
    client = review.client()
    assert "No runs yet" in client.get("/runs").text
    write(review, counts={"done": 1, "failed": 2}, request={"jobs": NASTY})
    write(review, "r8", "completed", counts={"done": 4}, note=NASTY)
    page = client.get("/runs").text
    assert "3 of 4 jobs" in page
    assert "running" in page
    assert NASTY not in page
    assert NASTY in unescape(page)


def test_runs_come_page_by_page(review: Review, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page reads the records that it shows, and every run is on one page."""
    for number in range(7):
        write(review, f"run-{number}", "completed")
    read, original = list[str](), Store.read

    def spy(self: Store, key: str) -> bytes:
        read.append(key)
        return original(self, key)

    monkeypatch.setattr(Store, "read", spy)
    monkeypatch.setattr("flows.review.pages.runs.PAGE", 3)
    client, path, found = review.client(), "/runs", []
    while path:
        read.clear()
        page = client.get(path).text
        assert len(read) <= 3, "only those of the page"
        found += re.findall(r'href="/runs/(run-\d)"', page)
        more = re.search(r'rel="next" href="([^"]+)"', page)
        path = unescape(more[1]) if more else ""
    assert sorted(found) == [f"run-{number}" for number in range(7)]
    assert "no earlier runs" in client.get("/runs?after=0").text


def test_the_page_of_a_run(review: Review) -> None:
    write(review, counts={"done": 1, "failed": 1}, request={"jobs": NASTY, "store": "s3://a:b@c"})
    record(review.context.store, "r9", [row("r9", "bad", "failed", error=NoFace(f"no face in {NASTY}"))])
    client = review.client()
    page = client.get("/runs/r9")
    assert page.status_code == 200
    assert NASTY not in page.text
    assert "troupe retry r9 --store" in unescape(page.text)
    assert "no_face" in page.text
    assert client.get("/runs/nothing").status_code == 404
    assert client.get("/runs/..%2f..%2fetc").status_code == 404
    assert client.get("/runs/%00").status_code in (400, 404)
    assert review.client(signed_in=False).get("/runs/r9").status_code == 403
    assert review.client(signed_in=False).get("/runs/r9/events").status_code == 403


def test_events_of_a_run(review: Review) -> None:
    write(review, counts={"done": 1})

    async def first() -> list[str]:
        stream = _stream(RunFeeds(review.context), "r9")
        found = [await anext(stream) for _ in range(2)]
        await stream.aclose()  # type: ignore[attr-defined]
        return found

    retry, event = asyncio.run(first())
    assert retry == "retry: 2000\n\n"
    kind, data = event.removesuffix("\n\n").split("\n")
    assert kind == "event: progress"
    values = json.loads(data.removeprefix("data: "))
    assert (values["ended"], values["jobs"], values["waiting"], values["state"]) == (1, 4, 3, "running")
