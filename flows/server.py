"""A Prefect server for the length of one command, for those who run none.

Prefect would start one by itself, but in our own process group, where Ctrl-C ends it before the flow could tell it
how it ended.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from prefect.settings import PREFECT_API_URL, temporary_settings

from troupe.errors import Cancelled, TroupeError

__all__ = ["prefect_server"]

START_SECONDS = 120.0
STOP_SECONDS = 5.0


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
    port = _free_port()
    child = subprocess.Popen(
        [sys.executable, "-m", "flows.server", str(port)],
        stdin=subprocess.PIPE,  # closes when we are gone, however that came
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_UI_ENABLED": "false"},
    )
    try:
        address = f"http://127.0.0.1:{port}/api"
        _wait_until_healthy(address, child, stop or threading.Event())
        with temporary_settings({PREFECT_API_URL: address}):
            yield
    finally:
        child.terminate()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _wait_until_healthy(address: str, child: subprocess.Popen[bytes], stop: threading.Event) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy knows our own address
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
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
