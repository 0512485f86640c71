"""A passage to an S3 server on which things go wrong at random, as on a bad day."""

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

__all__ = ["KINDS", "Weather", "weather"]

KINDS = ("500", "503", "slow", "cut", "lost", "late")
"""An error answer; a pause; the connection cut before the request is passed on, or before its answer comes back; a
file that cannot be read for a moment after it was put."""
SLOW = 0.5
LATE = 0.4
"""Seconds."""


@dataclass
class Weather:
    """What goes wrong, and what went.

    Attributes:
        endpoint: to use instead of the server's own.
        share: of the requests, for each kind.
        happened: how often, by kind; `requests` counts all.
    """

    endpoint: str
    share: float
    happened: Counter[str]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, behind: str, share: float, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Passage)
        self.behind, self.share, self.random = urlsplit(behind).netloc, share, Random(seed)
        self.happened: Counter[str] = Counter()
        self.hidden: dict[str, float] = {}
        self.lock = threading.Lock()

    def fate(self) -> str:
        """Of the next request."""
        with self.lock:
            self.happened["requests"] += 1
            number = self.random.random()
            kind = KINDS[int(number / self.share)] if number < self.share * len(KINDS) else ""
            self.happened[kind] += bool(kind) and kind != "late"
            return kind

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class _Passage(BaseHTTPRequestHandler):
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
        if fate == "slow":
            time.sleep(SLOW)
        if self.command in ("GET", "HEAD") and server.hidden.get(key, 0.0) > time.monotonic():
            self._answer(404, [("Content-Type", "application/xml")], b"<Error><Code>NoSuchKey</Code></Error>")
            return
        link = http.client.HTTPConnection(server.behind, timeout=30)
        link.request(self.command, self.path, body=body, headers=dict(self.headers))
        answer = link.getresponse()
        data = answer.read()
        if fate == "late" and self.command == "PUT" and answer.status == 200:
            server.happened["late"] += 1
            server.hidden[key] = time.monotonic() + LATE
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
def weather(behind: str, share: float, seed: int) -> Iterator[Weather]:
    """The endpoint of a passage to the server at `behind`; ends with the `with` block."""
    server = _Server(behind, share, seed)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Weather(f"http://127.0.0.1:{server.server_port}", share, server.happened)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
