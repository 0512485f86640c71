"""A hub on this machine that serves a small release."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import tasks.weights.hub_client
from tasks.weights.download import PullReport, pull
from tasks.weights.sources import RELEASE
from tests.tasks.weights.hub_server import TOKEN, HubServer, hub_server

PATHS = [path for source in RELEASE for path in source.files]
TENCENT = "tencent/HunyuanPortrait"


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


def content(hub: HubServer, path: str) -> bytes:
    """Return the newest content on the hub of a file of the release."""
    repo = next(source.repo for source in RELEASE if path in source.files)
    return hub.commits[repo][hub.newest(repo)][path.removeprefix("hyportrait/")]


def damage(path: Path) -> None:
    """Change one bit of the last byte."""
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
