"""A temporary Prefect server for one command, where none is configured.

Prefect would start one itself, but in the command's process group, where Ctrl-C stops the server before the flow can
report its final state.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from troupe.errors import Cancelled, TroupeError

__all__ = ["prefect_server"]

START_SECONDS = 120.0
STOP_SECONDS = 5.0
MAX_RESTARTS = 5
"""Number of times that a server which dies is restarted."""

_log = logging.getLogger(__name__)


@contextmanager
def prefect_server(stop: threading.Event | None = None) -> Iterator[None]:
    """Start a server unless one is configured; it ends with the `with` block, or with this process if that is killed.

    It uses Prefect's default database, so that its pages show past runs.

    Args:
        stop: cancels the start when set.

    Raises:
        TroupeError: the server does not start.
        Cancelled: `stop` was set before the server was ready.
    """
    if PREFECT_API_URL.value():
        yield
        return
    server = _Server(_free_port())
    try:
        address = f"http://127.0.0.1:{server.port}/api"
        _wait_until_healthy(address, server, stop or threading.Event())
        server.restart_when_dead()
        # Nobody watches this server for runs without heartbeats, and stopping their thread takes a second.
        with temporary_settings({PREFECT_API_URL: address, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            yield
    finally:
        server.close()


class _Server:
    """The server process. A restarted one has all data in its database, and clients retry their requests."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._closing = threading.Event()
        self._process = self._start()
        self._monitor = threading.Thread(target=self._restart, name="prefect-server", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

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

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.prefect_server", str(self.port)],
            stdin=subprocess.PIPE,  # closes when this process ends, even if it is killed
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
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


def _wait_until_healthy(address: str, server: _Server, stop: threading.Event) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback is not reached through a proxy
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.alive:
        with suppress(OSError), opener.open(f"{address}/health", timeout=2):
            return
        if stop.wait(0.1):
            raise Cancelled("stopped before anything started")
    raise TroupeError(
        "the Prefect server does not start; run `prefect server start` to see why, or run with --local to do without"
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _serve(port: int) -> None:
    """Serve until standard input closes."""
    import uvicorn
    from prefect.server.api.server import create_app

    def exit_with_parent() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=exit_with_parent, daemon=True).start()
    uvicorn.run(create_app(), host="127.0.0.1", port=port, log_level="error")


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
