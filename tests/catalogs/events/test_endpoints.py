"""Endpoints in stores of every kind."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from catalogs.events import Endpoint, State, add_endpoint, list_endpoints, read_state, remove_endpoint, write_state
from catalogs.events.endpoints import find_endpoint
from catalogs.events.queue import Cursor
from catalogs.store.store import Store, open_store
from tests.catalogs.conftest import NOON, record, row
from tests.receiver import SECRET
from troupe.errors import SettingsError


@pytest.fixture
def endpoint(tmp_path: Path) -> Endpoint:
    """An endpoint with a secret in a file."""
    (tmp_path / "secret").write_text(SECRET)
    return Endpoint("hook", "https://hooks.example.com/troupe?team=7", ("job", "run"), str(tmp_path / "secret"))


def test_added_listed_and_removed(shared_store: Store, endpoint: Endpoint) -> None:
    record(shared_store, "r1", [row("r1", "a")])
    add_endpoint(shared_store, endpoint)
    assert list_endpoints(shared_store) == [endpoint]
    assert read_state(shared_store, "hook").cursor.rows == 1, "what was recorded before is not sent"
    for key in shared_store.list("events"):
        assert SECRET.removeprefix("whsec_") not in shared_store.read(key).decode()
    with pytest.raises(SettingsError, match="has a webhook hook already"):
        add_endpoint(shared_store, endpoint)
    with pytest.raises(SettingsError, match="has no webhook hok; it has hook"):
        find_endpoint(shared_store, "hok")
    remove_endpoint(shared_store, "hook")
    assert list_endpoints(shared_store) == []
    add_endpoint(shared_store, endpoint, from_start=True)
    assert read_state(shared_store, "hook").cursor == Cursor()


def test_the_state_is_read_as_it_was_written(folder_store: Store) -> None:
    state = State(
        cursor=Cursor(4, 2, 7, NOON),
        ahead={"evt_1", "evt_2"},
        tries={"evt_3": (2, NOON)},
        sent=9,
        dead=[{"id": "evt_0", "type": "run.failed", "at": "", "error": "HTTP 500"}],
        dead_count=1,
        last_success_at=NOON,
        failing_since=NOON + timedelta(minutes=1),
        last_error="HTTP 500",
        disabled="gone",
    )
    write_state(folder_store, "hook", state)
    assert read_state(folder_store, "hook") == state


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://me:pw@host.example/", "has credentials"),
        ("https://host.example/?token=abc", "has credentials"),
        ("http://host.example/", "is not encrypted"),
        ("https://10.0.0.5/", "is not at a public address"),
        ("https://0x7f.1/", "is not at a public address"),
        ("https://[::1]:8000/", "is not at a public address"),
        ("https://localhost/", "is not at a public address"),
        ("ftp://host.example/", "is not an http:// or https:// URL"),
        ("https://host.example:99999/", "is not a URL"),
        ("/tmp/hook", "is not an http:// or https:// URL"),
    ],
)
def test_urls_that_are_refused(url: str, problem: str, folder_store: Store, endpoint: Endpoint) -> None:
    with pytest.raises(SettingsError, match=problem) as caught:
        add_endpoint(folder_store, replace(endpoint, url=url))
    assert "pw" not in str(caught.value)
    assert list_endpoints(folder_store) == []


def test_private_hosts_where_they_are_allowed(folder_store: Store, endpoint: Endpoint) -> None:
    add_endpoint(folder_store, replace(endpoint, url="http://10.0.0.5:8000/hook", allow_private=True))
    assert len(list_endpoints(folder_store)) == 1


def test_all_problems_are_reported_together(folder_store: Store) -> None:
    with pytest.raises(SettingsError) as caught:
        add_endpoint(folder_store, Endpoint("My Hook", "http://a:b@h/", ("jobs", "run"), "/no/such/file"))
    for text in ("the name 'My Hook'", "has credentials", "is not encrypted", "unknown types jobs", "No such file"):
        assert text in str(caught.value)


def test_stores_without_a_delta_table_have_no_queue(endpoint: Endpoint) -> None:
    with pytest.raises(SettingsError, match="has no Delta table"):
        add_endpoint(open_store("memory://none"), endpoint)
