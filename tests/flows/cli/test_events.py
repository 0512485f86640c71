"""`troupe events` with a receiver on loopback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from catalogs.store.store import open_store
from flows.cli import app
from flows.observe import display
from tests.catalogs.conftest import record, row
from tests.receiver import receiver


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of a store, which all commands use."""
    url = str(tmp_path / "store")
    monkeypatch.setenv("TROUPE_STORE", url)
    return url


def cli(*words: object) -> Result:
    return CliRunner().invoke(app, ["events", *map(str, words)])


def test_a_webhook_from_its_first_event_to_its_removal(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "hook.secret"
    (tmp_path / "store" / "runs").mkdir(parents=True)
    assert "no webhooks in" in cli("ls").stderr
    with receiver() as unknown:
        added = cli("add", unknown.url, "--allow-private", "--secret-file", file, "--types", "job.done, run")
        assert added.exit_code == 0, added.output
        assert f"wrote a new secret to {file}" in added.stderr
        assert file.stat().st_mode & 0o077 == 0
        [name] = [entry["name"] for entry in json.loads(cli("ls", "--format", "json").stdout)]
        assert name.startswith("127-0-0-1-")
        refused = cli("test", name)
        assert (refused.exit_code, "HTTP 401" in refused.stderr) == (3, True), "the receiver has another secret"
        port = int(unknown.url.split(":")[2].split("/")[0])
    record(open_store(store), "r1", [row("r1", "a"), row("r1", "b", "cancelled")])
    with receiver(file.read_text().strip(), port) as got:
        assert cli("test", name).exit_code == 0
        delivered = cli("deliver")
        assert (delivered.exit_code, delivered.stderr) == (0, "1 event delivered\n")
        assert got.types == ["test", "job.done"]
        listed = cli("ls").stdout
        assert f"{name}\tok\t1\t0" in listed
        monkeypatch.setattr(display, "SILENCE_SECONDS", 0.0)
        requests = got.requests
        got.answer = lambda number: 500 if number < requests + 2 else 204
        record(open_store(store), "r1", [row("r1", "d")])
        slow = cli("deliver")
        assert slow.exit_code == 0
        assert "1 s: sending events to 1 webhook, again where one fails\n" in slow.stderr
        got.answer = lambda _: 410
        record(open_store(store), "r1", [row("r1", "c")])
        gone = cli("deliver", name)
        assert (gone.exit_code, "is disabled" in gone.stderr) == (3, True)
        assert "disabled" in cli("ls").stdout
        got.answer = lambda _: 204
        assert cli("enable", name).exit_code == 0
        assert cli("deliver").exit_code == 0
        assert got.types == ["test", "job.done", "job.done", "job.done"]
    assert cli("rm", name).exit_code == 0
    assert cli("rm", name).exception is not None


def test_an_invalid_webhook_leaves_nothing_behind(store: str, tmp_path: Path) -> None:
    refused = cli("add", "http://me:secret@10.0.0.5/", "--types", "jobs", "--secret-file", tmp_path / "new.secret")
    assert refused.exit_code == 2
    assert "secret@" not in refused.output
    for problem in ("unknown types jobs", "has credentials", "is not encrypted", "is not at a public address"):
        assert problem in " ".join(refused.output.split())
    assert list(tmp_path.iterdir()) == []
