"""The Prefect server of a command: the one that is configured, or a temporary one.

Prefect would start one itself, but in the command's process group, where Ctrl-C stops the server before the flow can
report its final state.
"""

from __future__ import annotations

import flows.server.prefect_env  # noqa: F401  # isort: skip

import logging
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import IO

import httpx
from filelock import FileLock, Timeout
from prefect.exceptions import PrefectException
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, PREFECT_HOME, temporary_settings

from catalogs.store.uris import redacted
from flows.server.prefect_check import ask_configured_server, notes
from troupe.errors import Cancelled, TroupeError

__all__ = ["ask_server", "is_temporary", "prefect_server", "starting_server"]

START_SECONDS = 120.0
START_ATTEMPTS = 3
STOP_SECONDS = 5.0
MAX_RESTARTS = 5
"""Number of times that a server which dies is restarted."""
WITHOUT = "or run with --local to do without Prefect"
REMEDIES = {
    "Can't locate revision": "another version of Prefect wrote its database: set PREFECT_HOME to another folder",
    "database is locked": "another program holds its database: try again",
    "not a database": "its database is damaged: move it away, or set PREFECT_HOME to another folder",
    "malformed": "its database is damaged: move it away, or set PREFECT_HOME to another folder",
    "disk is full": "make room",
    "No space left": "make room",
    "readonly database": "set PREFECT_HOME to a folder that can be written",
    "unable to open database": "set PREFECT_HOME to a folder that can be written",
    "Permission denied": "set PREFECT_HOME to a folder that can be written",
}
"""What to do, by a part of the reason that a server gave for its end."""
_REASON = re.compile(r"^(?:[a-z_]\w*\.)*([A-Z]\w*(?:Error|Exception|Interrupt)): (.+)$", re.MULTILINE)

_log = logging.getLogger(__name__)
_temporary: ContextVar[bool] = ContextVar("temporary", default=False)
_early: ContextVar[_EarlyServer | None] = ContextVar("early", default=None)


@contextmanager
def prefect_server(stop: threading.Event | None = None) -> Iterator[None]:
    """Start a server unless one is configured; it ends with the `with` block, or with this process if that is killed.

    It uses Prefect's default database, so that its pages show past runs.

    Args:
        stop: cancels the start when set.

    Raises:
        TroupeError: the server does not start, the configured one does not answer, or fails inside the block.
        Cancelled: `stop` was set before the server was ready.
    """
    stop = stop or threading.Event()
    _raise_if_stopped(stop)  # while modules were imported
    configured = PREFECT_API_URL.value()
    if configured:
        ask_configured_server()
        _raise_if_stopped(stop)
        with _errors_of(f"the Prefect server at {redacted(configured)}"):
            yield
        return
    server = _start_server(stop)
    try:
        server.restart_when_dead()
        # Nobody watches this server for runs without heartbeats, and stopping their thread takes a second.
        own = {PREFECT_API_URL: server.address, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
        token = _temporary.set(True)
        try:
            with temporary_settings(own), _errors_of("the Prefect server of this run"):
                yield
        finally:
            _temporary.reset(token)
    finally:
        with suppress(Exception):  # else the last lines of the run's log are missed, with a traceback for each
            APILogWorker.drain_all(timeout=STOP_SECONDS, at_exit=False)
        server.close()


@contextmanager
def starting_server() -> Iterator[None]:
    """Begin to start the server that `prefect_server` starts inside the `with` block, unless one is configured.

    Its process takes some seconds, in which this one can import modules. Trouble is left to `prefect_server`.
    """
    early = None if PREFECT_API_URL.value() else _start_early()
    token = _early.set(early)
    try:
        yield
    finally:
        _early.reset(token)
        if early is not None:
            early.close()


def is_temporary() -> bool:
    """Return whether the server was started for this command only: it has no automations that could react."""
    return _temporary.get()


def ask_server() -> str:
    """Start or ask the server that a run would use, and return what was found.

    Raises:
        TroupeError: a run would fail.
    """
    kind = f"uses {PREFECT_API_URL.value()}" if PREFECT_API_URL.value() else f"starts its own server, in {_home()}"
    with prefect_server():
        return "; ".join((f"{kind}, which answers: {ask_configured_server()}", *notes()))


class _Server:
    """The server process. A restarted one has all data in its database, and clients retry their requests.

    Attributes:
        address: URL of its API.
    """

    def __init__(self) -> None:
        self._port = _free_port()
        self.address = f"http://127.0.0.1:{self._port}/api"
        self._closing = threading.Event()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        self._process = self._start()
        self._monitor = threading.Thread(target=self._restart, name="prefect-server", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def reason(self) -> str:
        """The last error that the process printed; empty if there is none."""
        self._errors.seek(0)
        found = _REASON.findall(self._errors.read().decode(errors="replace"))
        return ": ".join(found[-1]).strip() if found else ""

    def restart_when_dead(self) -> None:
        """Restart the process from now on when it dies."""
        self._monitor.start()

    def close(self) -> None:
        """Stop the process."""
        self._closing.set()
        if self._monitor.ident is not None:
            self._monitor.join()
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def _start(self) -> subprocess.Popen[bytes]:
        # Isolated from the working folder: neither the folder nor a package there is on the process's import path.
        script = Path(__file__).with_name("prefect_server_process.py")
        return subprocess.Popen(
            [sys.executable, "-P", str(script), str(self._port)],
            stdin=subprocess.PIPE,  # closes when this process ends, even if it is killed
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            start_new_session=True,
            env={**os.environ, "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_UI_ENABLED": "false"},
        )

    def _restart(self) -> None:
        for _ in range(MAX_RESTARTS):
            while self.alive:
                if self._closing.wait(0.5):
                    return
            _log.warning("The Prefect server died; starting it again")
            self._process = self._start()


class _EarlyServer:
    """A server that was started before anybody needed it, and the lock under which that was done."""

    def __init__(self, lock: FileLock) -> None:
        self._lock = lock
        self._server: _Server | None = _Server()

    def take(self) -> _Server | None:
        """Return the server once, for the caller to close."""
        server, self._server = self._server, None
        return server

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock inside the `with` block, and release it then."""
        try:
            yield
        finally:
            self._lock.release()

    def close(self) -> None:
        """Stop the server, and release the lock, if nobody took it."""
        with self.locked():
            if server := self.take():
                server.close()


def _start_early() -> _EarlyServer | None:
    """Start a server; None if another one is starting, or the folder cannot be written."""
    with suppress(OSError, Timeout):
        _home().mkdir(parents=True, exist_ok=True)
        lock = FileLock(_home() / "troupe-server.lock")
        lock.acquire(timeout=0)
        try:
            return _EarlyServer(lock)
        except BaseException:
            lock.release()
            raise
    return None


def _start_server(stop: threading.Event) -> _Server:
    """Return a server that answers.

    Servers of one home start one after the other, because two that create its database at once disturb each other. One
    that dies while it starts, as when another program does the same, is started again.
    """
    reason, early = "", _early.get()
    with _start_lock(stop) if early is None else early.locked():
        for _ in range(START_ATTEMPTS):
            server = (early.take() if early else None) or _Server()
            try:
                if _is_healthy(server, stop):
                    return server
                reason = server.reason or reason
            except BaseException:
                server.close()
                raise
            server.close()
            if any(known in reason for known in REMEDIES if known != "database is locked"):
                break  # trying again does not help
    advice = next((advice for known, advice in REMEDIES.items() if known in reason), "see `prefect server start`")
    reason = reason or f"it did not answer for {START_SECONDS:.0f} s"
    raise TroupeError(f"the Prefect server does not start: {reason}; {advice}, {WITHOUT}")


@contextmanager
def _start_lock(stop: threading.Event) -> Iterator[None]:
    home = _home()
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = FileLock(home / "troupe-server.lock")
        while True:
            with suppress(Timeout):
                lock.acquire(timeout=0)
                break
            if stop.wait(0.1):
                raise Cancelled("stopped before anything started")
    except OSError as error:
        text = f"cannot write Prefect's folder {home}: {error.strerror}; set PREFECT_HOME to another folder, {WITHOUT}"
        raise TroupeError(text) from error
    try:
        yield
    finally:
        lock.release()


def _raise_if_stopped(stop: threading.Event) -> None:
    if stop.is_set():
        raise Cancelled("stopped before anything started")


def _is_healthy(server: _Server, stop: threading.Event) -> bool:
    """Return whether the server answers in time, before it dies."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback is not reached through a proxy
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.alive:
        with suppress(OSError), opener.open(f"{server.address}/health", timeout=2):
            return True
        if stop.wait(0.1):
            raise Cancelled("stopped before anything started")
    return False


@contextmanager
def _errors_of(server: str) -> Iterator[None]:
    """Turn the errors of Prefect's client inside the `with` block into one line."""
    try:
        yield
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "Failed to reach API" not in str(error):
            raise
        line = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise TroupeError(f"{server} failed: {line}; run the same command again to resume, {WITHOUT}") from error


def _home() -> Path:
    home: Path = PREFECT_HOME.value()
    return home


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
