"""A proxy to an S3 server that injects faults at random."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from urllib.parse import urlsplit

__all__ = ["FAULTS", "FaultyS3", "faulty_s3"]

FAULTS = ("500", "503", "slow", "cut", "lost", "late")
"""An error answer; a pause; the connection cut before the request is passed on, or before its answer comes back; a
file that cannot be read for a moment after it was put."""
SLOW_SECONDS = 0.5
LATE_SECONDS = 0.4
"""Seconds."""


@dataclass
class FaultyS3:
    """A running proxy.

    Attributes:
        endpoint: URL to use instead of the server's own.
        share: share of the requests that each fault hits.
        counts_by_fault: number of injected faults, by kind; `requests` counts all.
    """

    endpoint: str
    share: float
    counts_by_fault: Counter[str]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, upstream: str, share: float, seed: int, slow_puts: str) -> None:
        super().__init__(("127.0.0.1", 0), _Proxy)
        self.upstream, self.share, self.random = urlsplit(upstream).netloc, share, Random(seed)
        self.slow_puts = slow_puts
        self.counts_by_fault: Counter[str] = Counter()
        self.hidden: dict[str, float] = {}
        self.lock = threading.Lock()

    def fate(self) -> str:
        """Choose the fault of the next request; empty for none."""
        with self.lock:
            self.counts_by_fault["requests"] += 1
            number = self.random.random()
            kind = FAULTS[int(number / self.share)] if number < self.share * len(FAULTS) else ""
            self.counts_by_fault[kind] += bool(kind) and kind != "late"
            return kind

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect."""


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do(self) -> None:
        server, fate = self.server, self.server.fate()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        key = urlsplit(self.path).path
        if fate == "cut":
            self.close_connection = True
            return
        if fate in ("500", "503"):
            self._answer(int(fate), [], b"")
            return
        if fate == "slow" or (self.command == "PUT" and server.slow_puts and server.slow_puts in key):
            time.sleep(SLOW_SECONDS)
        if self.command in ("GET", "HEAD") and server.hidden.get(key, 0.0) > time.monotonic():
            self._answer(404, [("Content-Type", "application/xml")], b"<Error><Code>NoSuchKey</Code></Error>")
            return
        link = http.client.HTTPConnection(server.upstream, timeout=30)
        link.request(self.command, self.path, body=body, headers=dict(self.headers))
        answer = link.getresponse()
        data = answer.read()
        if fate == "late" and self.command == "PUT" and answer.status == 200:
            server.counts_by_fault["late"] += 1
            server.hidden[key] = time.monotonic() + LATE_SECONDS
        if fate == "lost":
            self.close_connection = True
            return
        self._answer(answer.status, answer.getheaders(), data)

    def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
        self.send_response(status)
        length = str(len(data))
        for name, value in headers:
            if name.lower() == "content-length" and self.command == "HEAD":
                length = value
            elif name.lower() not in ("connection", "transfer-encoding", "date", "server", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


@contextmanager
def faulty_s3(upstream: str, share: float, seed: int, *, slow_puts: str = "") -> Iterator[FaultyS3]:
    """Run a proxy to the server at `upstream` inside the `with` block.

    Args:
        slow_puts: part of the keys that are always put slowly.
    """
    server = _Server(upstream, share, seed, slow_puts)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield FaultyS3(f"http://127.0.0.1:{server.server_port}", share, server.counts_by_fault)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
