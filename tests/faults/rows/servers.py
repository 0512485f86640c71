"""An HTTP server that does what servers should not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["PATHS", "hostile_server"]

PATHS = ("endless", "garbage", "header", "huge", "loop", "missing", "mute", "short", "trickle", "broken", "text")


@contextmanager
def hostile_server() -> Iterator[str]:
    """Run the server; yield its URL, to which one of `PATHS` is added."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, *, body: bool) -> None:
            kind = self.path.strip("/").split("/")[0].partition(".")[0]
            with suppress(OSError):
                if kind == "mute":
                    ended.wait(600)
                elif kind == "garbage":
                    self.wfile.write(b"\0\1\2 no HTTP \xff" * 100)
                elif kind == "header":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 10**6 + b"\r\n\r\n")
                else:
                    self.send_response({"missing": 404, "broken": 500, "loop": 302}.get(kind, 200))
                    if kind == "loop":
                        self.send_header("Location", self.path)
                    if kind in ("huge", "short"):
                        self.send_header("Content-Length", str(10**15 if kind == "huge" else 10**6))
                    self.end_headers()
                    if body:
                        self._write(kind)

        def _write(self, kind: str) -> None:
            if kind == "text":
                self.wfile.write(b"no picture, no film")
            while kind in ("endless", "huge", "trickle") and not ended.is_set():
                self.wfile.write(b"x" if kind == "trickle" else bytes(1 << 16))
                if kind == "trickle":
                    self.wfile.flush()
                    time.sleep(0.2)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            ended.set()
            server.shutdown()
