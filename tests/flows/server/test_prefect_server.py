"""The Prefect server of a command, and how one that cannot be used is reported."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from filelock import FileLock
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from flows.server import prefect_server as module
from flows.server.prefect_server import ask_server, prefect_server, starting_server
from tests.faults.harness.workspace import ROOT
from tests.faults.office import hostile_names, other_version
from troupe.errors import TroupeError


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that answers everything so; the URL that a user configures."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://ada:secret@127.0.0.1:{server.server_port}/api"
    finally:
        server.shutdown()
        server.server_close()


def refused(url: str) -> str:
    with temporary_settings({PREFECT_API_URL: url}), pytest.raises(TroupeError) as caught, prefect_server():
        pass
    text = str(caught.value)
    assert "\n" not in text
    assert "--local" in text
    assert "secret" not in text
    return text


def test_configured_server_that_is_down() -> None:
    text = refused("http://127.0.0.1:9/api")
    assert "http://127.0.0.1:9/api does not answer" in text
    assert "Connection refused" in text


def test_configured_server_behind_a_proxy_that_does_not_know_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    text = refused("http://prefect.invalid:4200/api")
    assert "add prefect.invalid to NO_PROXY if it is not reached through the proxy http://127.0.0.1:9" in text


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (401, b"{}", "PREFECT_API_AUTH_STRING"),
        (404, b"{}", "its URL ends in /api"),
        (200, b"<html>", "not the API of a Prefect server"),
        (200, b'"2.20.1"', "is of version 2.20.1"),
    ],
)
def test_configured_server_that_cannot_be_used(status: int, body: bytes, says: str) -> None:
    with answering(status, body) as url:
        assert says in refused(url)


@pytest.mark.usefixtures("prefect_session")
def test_surroundings_that_are_got_around_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://ada:secret@127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    hostile_names(tmp_path, tmp_path)
    text = ask_server()
    assert "answers: a server of version 3" in text
    assert "past the proxy http://***@127.0.0.1:9" in text
    assert "flows.py, tasks.py" in text
    assert "secret" not in text


def test_database_of_another_version_in_a_folder_with_hostile_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    other_version(tmp_path, home)
    hostile_names(tmp_path, home)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", str(home))
    with (
        temporary_settings({PREFECT_HOME: home, PREFECT_API_URL: None}),
        pytest.raises(TroupeError) as caught,
        prefect_server(),
    ):
        pass
    assert str(caught.value) == (
        "the Prefect server does not start: CommandError: Can't locate revision identified by 'ffffffffffff'; another "
        "version of Prefect wrote its database: set PREFECT_HOME to another folder, or run with --local to do without "
        "Prefect"
    )


def test_invalid_setting(tmp_path: Path) -> None:
    code = "import flows.server.prefect_env"
    environment = {**os.environ, "PREFECT_API_REQUEST_TIMEOUT": "soon", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1].startswith(
        "troupe.errors.SettingsError: invalid settings of Prefect: request_timeout; Input should be a valid number"
    )


def test_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    settings = {PREFECT_HOME: tmp_path / "home", PREFECT_API_URL: None}
    with temporary_settings(settings), pytest.raises(TroupeError, match="set PREFECT_HOME"):
        ask_server()


@pytest.mark.long
def test_first_starts_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    failed: list[str] = []

    def start() -> None:
        try:
            with temporary_settings({PREFECT_HOME: tmp_path, PREFECT_API_URL: None}):
                ask_server()
        except Exception as error:
            failed.append(str(error))

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


class Process:
    """Stands for the server's process."""

    started: ClassVar[list[Process]] = []
    address, reason, alive = "http://127.0.0.1:9/api", "", True

    def __init__(self) -> None:
        self.open = True
        self.started.append(self)

    def restart_when_dead(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """End."""
        self.open = False


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[Process]]:
    """The processes that are started, with a home of their own."""
    monkeypatch.setattr(module, "_Server", Process)
    monkeypatch.setattr(module, "_is_healthy", lambda server, _: server.open)
    monkeypatch.setattr(Process, "started", [])
    with temporary_settings({PREFECT_HOME: tmp_path}, restore_defaults={PREFECT_API_URL}):
        yield Process.started


def test_a_server_that_started_early_is_the_one_that_is_used(processes: list[Process]) -> None:
    with starting_server():
        assert len(processes) == 1
        with prefect_server():
            assert [process.open for process in processes] == [True]
        with prefect_server():  # the lock is free again
            assert [process.open for process in processes] == [False, True]
    assert not any(process.open for process in processes)


def test_a_server_that_started_early_for_nothing_is_stopped(processes: list[Process]) -> None:
    with pytest.raises(ImportError), starting_server():
        raise ImportError
    assert [process.open for process in processes] == [False]
    with starting_server():
        assert len(processes) == 2


def test_while_another_server_starts_none_starts_early(processes: list[Process], tmp_path: Path) -> None:
    with FileLock(tmp_path / "troupe-server.lock"), starting_server():
        assert processes == []
