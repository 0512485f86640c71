"""A Prefect server for the length of one command, for those who run none.

Prefect would start one by itself, but in our own process group, where Ctrl-C ends it before the flow could tell it
how it ended.
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
LIVES = 5
"""So often a server that dies is replaced."""

_log = logging.getLogger(__name__)


@contextmanager
def prefect_server(stop: threading.Event | None = None) -> Iterator[None]:
    """Have a server: the one that is configured, else one of our own, gone afterwards even if this process is killed.

    Its database is Prefect's usual one, so that its pages show past runs.

    Args:
        stop: when set while the server starts, it is not waited for.

    Raises:
        TroupeError: it does not start.
        Cancelled: it was stopped.
    """
    if PREFECT_API_URL.value():
        yield
        return
    server = _Server(_free_port())
    try:
        address = f"http://127.0.0.1:{server.port}/api"
        _wait_until_healthy(address, server, stop or threading.Event())
        server.keep()
        # Heartbeats are for who watches a server for runs that fell silent; waiting for them to end takes a second.
        with temporary_settings({PREFECT_API_URL: address, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            yield
    finally:
        server.close()


class _Server:
    """The child, and once it is kept, its successors: what it knows lies in its database, and clients try again."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._closing = threading.Event()
        self._child = self._start()
        self._keeper = threading.Thread(target=self._keep, name="prefect-server", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the child runs."""
        return self._child.poll() is None

    def keep(self) -> None:
        """From now on, start another one when it dies."""
        self._keeper.start()

    def close(self) -> None:
        """End it."""
        self._closing.set()
        if self._keeper.ident is not None:
            self._keeper.join()
        self._child.terminate()
        try:
            self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.prefect_server", str(self.port)],
            stdin=subprocess.PIPE,  # closes when we are gone, however that came
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_UI_ENABLED": "false"},
        )

    def _keep(self) -> None:
        for _ in range(LIVES):
            while self.alive:
                if self._closing.wait(0.5):
                    return
            _log.warning("Prefect's server died; another one takes its place")
            self._child = self._start()


def _wait_until_healthy(address: str, server: _Server, stop: threading.Event) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy knows our own address
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.alive:
        with suppress(OSError), opener.open(f"{address}/health", timeout=2):
            return
        if stop.wait(0.1):
            raise Cancelled("stopped before anything was begun")
    raise TroupeError(
        "Prefect's server does not start; see what `prefect server start` says, or run with --local to do without"
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _serve(port: int) -> None:
    """The child: serve until its standard input closes."""
    import uvicorn
    from prefect.server.api.server import create_app

    def leave_with_parent() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=leave_with_parent, daemon=True).start()
    uvicorn.run(create_app(), host="127.0.0.1", port=port, log_level="error")


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
