"""The server of `troupe review` under attack: a flood of requests, slow clients, a store that is gone for a while.

    python -m tests.faults.web.review
    python -m tests.faults.web.review --seconds 5 --gone 60

It stops by itself after about two minutes. Nothing may leak to clients without the token, nothing may be written, and a
reviewer's page has to be back within seconds after each attack; at the end Ctrl-C has to end the server at once, also
while a video is being streamed.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import psutil

from catalogs.review.decisions import Decisions
from catalogs.store.store import open_store
from tests.catalogs.conftest import record
from tests.flows.review.stores import film
from tests.s3 import BUCKET, endpoint
from troupe.process.scratch import scratch_folder

__all__ = ["Report", "attack"]

VIDEO = 64 * 1024 * 1024
SLOW = 300
RATE = 10_000
"""Requests per second of the flood."""
MOST_BYTES = 100e6
"""By which the server's memory may grow."""


@dataclass
class Report:
    """What happened.

    Attributes:
        offered: requests without the token that were written per second.
        answered: answers to them per second; all are refusals.
        leaked: answers that were not.
        flood_rss: largest growth of the server's memory during the flood, in bytes.
        recovered: seconds after each attack until the page was there again.
        gone: status of a page while the store was gone, and seconds that it took.
        rss: largest growth of the server's memory, in bytes.
        stop: seconds from Ctrl-C to the server's end.
        decisions: decisions in the store at the end.
    """

    offered: float = 0.0
    answered: float = 0.0
    leaked: int = 0
    flood_rss: int = 0
    recovered: dict[str, float] = field(default_factory=dict)
    gone: tuple[int, float] = (0, 0.0)
    rss: int = 0
    stop: float = 0.0
    decisions: int = 0


class Gate:
    """A proxy in front of the store's endpoint; while it is shut, connections hang."""

    def __init__(self, target: str) -> None:
        self._target = (urlsplit(target).hostname or "", urlsplit(target).port or 0)
        self._open = threading.Event()
        self._open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def shut(self) -> None:
        self._open.clear()

    def reopen(self) -> None:
        self._open.set()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(self._target) as server:
            while True:
                ready, _, _ = select.select([client, server], [], [])
                self._open.wait()
                for source in ready:
                    data = source.recv(65536)
                    if not data:
                        return
                    (server if source is client else client).sendall(data)


def attack(folder: Path, *, seconds: float, gone: float) -> Report:
    """Attack a server over a store on S3.

    Args:
        folder: empty folder for the server's output.
        seconds: length of the flood.
        gone: how long the store is gone, in seconds.
    """
    report = Report()
    with endpoint() as s3:
        store = open_store(f"s3://{BUCKET}/store")
        record(store, "r1", [film(n) for n in range(20)])
        (folder / "video").write_bytes(os.urandom(VIDEO))
        store.put(folder / "video", f"renders/{film(0)['render_key']}/full.mp4")
        gate = Gate(s3.url)
        with ExitStack() as stack:
            process, address = stack.enter_context(_server(store.url, gate.url))
            base = address.partition("?")[0]
            with httpx2.Client(base_url=base, timeout=120) as reviewer:
                reviewer.get("/", params={"token": address.partition("token=")[2]})
                items = reviewer.get("/api/queue", params={"order": "oldest"}).json()["items"]
                video = next(item["video"] for item in items if item["key"] == film(0)["render_key"])
                memory = psutil.Process(process.pid)
                before = memory.memory_info().rss

                flood = _flood(reviewer.base_url.port or 0, memory, seconds)
                report.offered, report.answered = flood.offered / flood.seconds, flood.answered / flood.seconds
                report.leaked, report.flood_rss = flood.leaked, flood.peak - before
                report.recovered["flood"] = _until_back(reviewer)

                slow = [_connect(reviewer.base_url.port or 0, b"GET / HTTP/1.1\r\nHost: 127") for _ in range(SLOW)]
                report.recovered["slow headers"] = _until_back(reviewer)
                _close(slow)

                cookie = "; ".join(f"{name}={value}" for name, value in reviewer.cookies.items())
                request = f"GET {video} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n".encode()
                slow = [_connect(reviewer.base_url.port or 0, request) for _ in range(20)]
                time.sleep(2)
                report.recovered["slow readers"] = _until_back(reviewer)
                report.rss = memory.memory_info().rss - before
                _close(slow)

                gate.shut()
                start = time.monotonic()
                report.gone = reviewer.get("/").status_code, time.monotonic() - start
                time.sleep(max(0.0, gone - report.gone[1]))
                gate.reopen()
                report.recovered["store gone"] = _until_back(reviewer)

                slow = [_connect(reviewer.base_url.port or 0, request)]
                time.sleep(0.5)
                start = time.monotonic()
                process.send_signal(signal.SIGINT)
                process.wait(30)
                report.stop = time.monotonic() - start
                _close(slow)
        report.decisions = len(Decisions(store).all())
    return report


@contextmanager
def _server(store: str, endpoint_url: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-c", "from flows.cli import main; main()", "review", "--store", store]
    environment = {**os.environ, "AWS_ENDPOINT_URL": endpoint_url}
    # In the background, shells let commands ignore SIGINT.
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


@dataclass
class Flood:
    """Requests without the token, written at a fixed rate, no matter how many answers come.

    Attributes:
        offered: requests that the kernel took.
        answered: answers that came until the end.
        leaked: answers that were no refusals.
        dropped: connections that the server closed; they are replaced.
        peak: largest memory of the server meanwhile, in bytes.
    """

    seconds: float = 0.0
    offered: int = 0
    answered: int = 0
    leaked: int = 0
    dropped: int = 0
    peak: int = 0


def _flood(port: int, server: psutil.Process, seconds: float, rate: int = RATE, connections: int = 64) -> Flood:
    """Write pipelined requests at a rate, in batches on one connection after the other, and read what is answered."""
    request = b"GET /api/queue?state=all HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n"
    found, batch = Flood(), 50
    open_ones = [_nonblocking(port) for _ in range(connections)]
    started, place = time.monotonic(), 0
    while (elapsed := time.monotonic() - started) < seconds:
        while found.offered < rate * elapsed:
            place = (place + 1) % connections
            try:
                # What a full connection does not take is cut off in the middle of a request, and so is the connection.
                taken = open_ones[place].send(request * batch)
                found.offered += taken // len(request)
                if taken == len(request) * batch:
                    continue
            except OSError:
                pass
            _replace(open_ones, place, port, found)
        _read_answers(open_ones, port, found)
        found.peak = max(found.peak, server.memory_info().rss)
        time.sleep(0.002)
    found.seconds = time.monotonic() - started
    _close(open_ones)
    return found


def _read_answers(open_ones: list[socket.socket], port: int, found: Flood) -> None:
    for place, connection in enumerate(open_ones):
        try:
            data = connection.recv(2**20)
        except BlockingIOError:
            continue
        except OSError:
            data = b""
        if not data:
            _replace(open_ones, place, port, found)
        found.answered += data.count(b"HTTP/1.1 ")
        found.leaked += data.count(b"HTTP/1.1 2") + data.count(b"job-0")


def _replace(open_ones: list[socket.socket], place: int, port: int, found: Flood) -> None:
    found.dropped += 1
    open_ones[place].close()
    open_ones[place] = _nonblocking(port)


def _nonblocking(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setblocking(False)
    return connection


def _until_back(reviewer: httpx2.Client, limit: float = 60.0) -> float:
    """Return the seconds until the queue is answered."""
    start = time.monotonic()
    while time.monotonic() - start < limit:
        with suppress(httpx2.HTTPError):
            if reviewer.get("/api/queue").status_code == 200:
                return time.monotonic() - start
        time.sleep(0.1)
    return float("inf")


def _connect(port: int, data: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(data)
    return connection


def _close(connections: list[socket.socket]) -> None:
    for connection in connections:
        connection.close()


def main() -> None:
    """Run the attacks, and print what happened."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the flood")
    parser.add_argument("--gone", type=float, default=60.0, help="how long the store is gone")
    arguments = parser.parse_args()
    with scratch_folder() as folder:
        report = attack(folder, seconds=arguments.seconds, gone=arguments.gone)
    print(report)
    bad = report.leaked or report.decisions or max(report.recovered.values()) > 20 or report.stop > 5
    bad = bad or report.offered < 0.99 * RATE or report.flood_rss > MOST_BYTES or report.rss > MOST_BYTES
    raise SystemExit(1 if bad else 0)


if __name__ == "__main__":
    main()
