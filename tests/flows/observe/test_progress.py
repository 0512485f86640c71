"""Listeners of a run."""

from __future__ import annotations

import json

import pytest

from flows.observe.progress import configured_listener
from troupe.errors import SettingsError


def test_the_environment_configures_listeners(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TROUPE_LOG", "json")
    with configured_listener() as listener:
        listener.note("hello")
    assert json.loads(capsys.readouterr().err)["message"] == "hello"
    monkeypatch.setenv("TROUPE_LOG", "xml")
    with pytest.raises(SettingsError, match="text or json"), configured_listener():
        pass
    monkeypatch.setenv("TROUPE_LOG", "text")
    monkeypatch.setenv("TROUPE_METRICS", "here")
    with pytest.raises(SettingsError, match="PORT or HOST:PORT"), configured_listener():
        pass
