"""A hub on this machine that serves a small release."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import tasks.weights.hub_client
from tasks.weights.download import PullReport, pull
from tests.tasks.weights.hub_server import TOKEN, HubServer, hub_server


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tasks.weights.hub_client, "get_token", lambda: None)
    monkeypatch.setattr(tasks.weights.hub_client, "RETRY_PAUSES", (0.0, 0.0))
    with hub_server() as server:
        yield server


def fetch(directory: Path, hub: HubServer) -> PullReport:
    return pull(directory, accept_licences=True, token=TOKEN, endpoint=hub.endpoint)
