"""Sending to a real receiver on loopback."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from catalogs.events import Endpoint, Retries, add_endpoint, list_endpoints, read_state
from catalogs.store.store import Store, open_store
from catalogs.table.runs import RunInfo, write_run
from tasks.events import Sender, deliver_events, send_test, sending_events
from tests.catalogs.conftest import record, row
from tests.receiver import SECRET, Receiver, receiver

QUICK = Retries(first=0.01, longest=0.05)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store in a folder."""
    return open_store(str(tmp_path / "store"))


def add(store: Store, got: Receiver, secret: str = SECRET, name: str = "hook") -> Endpoint:
    """Add an endpoint at a receiver; its secret is beside the store."""
    file = Path(store.url).parent / f"{name}.secret"
    file.write_text(secret)
    endpoint = Endpoint(name, got.url, secret_file=str(file), allow_private=True)
    add_endpoint(store, endpoint)
    return endpoint


def send(store: Store, seconds: float = 10.0) -> list[str]:
    """Send everything; return what is left."""
    sender = Sender(store, list_endpoints(store), retries=QUICK)
    sender.start()
    sender.finish(seconds)
    sender.close()
    return sender.left()


def test_a_receiver_that_fails_half_the_time_gets_everything(store: Store) -> None:
    with receiver() as got:
        add(store, got)
        got.answer = lambda number: 500 if number % 2 else 204
        for number in range(3):
            record(store, "r1", [row("r1", f"{number}-{each}") for each in range(20)])
        assert send(store) == []
        assert len(got.ids) == len(set(got.ids)) == 60
        assert set(got.types) == {"job.done"}
        assert got.events[0][1]["data"]["store"] == store.url
        assert read_state(store, "hook").sent == 60
        assert send(store) == []
        assert len(got.ids) == 60


def test_whoever_sends_notices_a_crashed_run_once(store: Store) -> None:
    with receiver() as got:
        add(store, got)
        heard = datetime.now(UTC) - timedelta(minutes=5)
        write_run(store, RunInfo("r1", "running", heard, heard, jobs=4, counts={"done": 3}))
        write_run(store, RunInfo("r2", "running", heard, datetime.now(UTC), jobs=4))
        assert send(store) == []
        assert got.types == ["run.crashed"]
        assert got.events[0][1]["data"]["counts"] == {"done": 3}
        assert send(store) == []
        assert len(got.ids) == 1, "it is recorded"
        # Another process noticed it at the same time: receivers drop what has the same id.
        write_run(store, RunInfo("r1", "running", heard, heard, jobs=4, counts={"done": 3}))
        assert send(store) == []
        assert len(set(got.ids)) == 1


def test_events_are_sent_beside_a_run_and_the_rest_after_it(store: Store) -> None:
    notes: list[str] = []
    with receiver() as got:
        add(store, got)
        with sending_events(store, notes.append):
            record(store, "r1", [row("r1", "a")])
        assert got.types == ["job.done"]
        record(store, "r1", [row("r1", "b")])
        with sending_events(store, notes.append, stopped=lambda: True):
            pass
    assert notes == [] or "1 event waits" in notes[0]
    with receiver(port=int(got.url.split(":")[2].split("/")[0])) as again:
        deliver_events(store, list_endpoints(store), lambda: False)
        assert {payload["data"]["job_id"] for _, payload in (*got.events, *again.events)} == {"a", "b"}


def test_a_receiver_that_is_down_is_told_and_keeps_its_events(store: Store) -> None:
    notes: list[str] = []
    with receiver() as got:
        add(store, got)
    with sending_events(store, notes.append):
        record(store, "r1", [row("r1", "a")])
    assert "1 event waits" in notes[0]
    assert "troupe events deliver" in notes[0]
    assert read_state(store, "hook").tries


def test_a_redirect_is_not_followed(store: Store) -> None:
    with receiver() as got, receiver() as elsewhere:
        endpoint = add(store, got)
        got.answer, got.headers = (lambda _: 307), {"location": elsewhere.url}
        outcome = send_test(store, endpoint)
        assert (outcome.status, outcome.delivered, elsewhere.requests) == (307, False, 0)


def test_a_private_address_behind_a_name_is_refused(store: Store) -> None:
    with receiver() as got:
        endpoint = add(store, got)
        local = replace(endpoint, url=got.url.replace("127.0.0.1", "localhost"), allow_private=False)
        outcome = send_test(store, local)
        assert "not a public address" in str(outcome)
        assert got.requests == 0


def test_a_wrong_secret_is_refused_by_the_receiver(store: Store) -> None:
    with receiver("whsec_" + "A" * 44) as got:
        endpoint = add(store, got)
        assert str(send_test(store, endpoint)) == "HTTP 401"


def test_two_senders_at_once_lose_nothing(store: Store) -> None:
    with receiver() as got:
        add(store, got)
        for number in range(4):
            record(store, "r1", [row("r1", f"{number}-{each}") for each in range(20)])
        threads = [threading.Thread(target=send, args=(store,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(got.ids)) == 80


def test_a_store_without_endpoints_starts_nothing(store: Store) -> None:
    before = threading.active_count()
    with sending_events(store):
        assert threading.active_count() == before


def test_settings_that_cannot_be_read_do_not_stop_a_run(store: Store) -> None:
    notes: list[str] = []
    with receiver() as got:
        Path(add(store, got).secret_file).unlink()
        with sending_events(store, notes.append):
            pass
    assert notes[0].startswith("no events are sent: cannot read the webhook secret")
