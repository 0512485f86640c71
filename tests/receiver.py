"""A receiver of webhooks on loopback, for tests, fault tests and benchmarks: verifies signatures, and fails at will.

`python -m tests.receiver PORT LOG SECRET_FILE SHARE` is one that can be killed: what it accepted is in the log.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook

__all__ = ["SECRET", "Receiver", "receiver"]

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="


@dataclass
class Receiver:
    """What a receiver got.

    Attributes:
        url: its URL.
        events: accepted events in their order, each as often as it came: id and payload.
        requests: number of requests, failed ones included.
        answer: status by number of the request, from 0.
        headers: headers of the answers.
    """

    url: str = ""
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    requests: int = 0
    answer: Callable[[int], int] = lambda _: 204
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def types(self) -> list[str]:
        """Types of the accepted events."""
        return [payload["type"] for _, payload in self.events]

    @property
    def ids(self) -> list[str]:
        """Ids of the accepted events."""
        return [id for id, _ in self.events]


@contextmanager
def receiver(
    secret: str = SECRET, port: int = 0, on_event: Callable[[str], None] = lambda _: None
) -> Iterator[Receiver]:
    """Run a receiver inside the `with` block; it answers 401 to what is not signed with the secret."""
    got, webhook, lock = Receiver(), Webhook(secret), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            with lock:
                number, got.requests = got.requests, got.requests + 1
                status = got.answer(number)
                try:
                    payload = webhook.verify(body, dict(self.headers.items()))
                except Exception:
                    status = 401
                if 200 <= status < 300:
                    got.events.append((self.headers["webhook-id"], payload))
                    on_event(self.headers["webhook-id"])
            self.send_response(status)
            for name, value in got.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    got.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield got
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def main() -> None:
    """Receive until killed; the id of each event is on disk before it is accepted."""
    port, log, secret_file, share = sys.argv[1:]
    with Path(log).open("a") as file:

        def keep(id: str) -> None:
            file.write(json.dumps(id) + "\n")
            file.flush()
            os.fsync(file.fileno())

        with receiver(Path(secret_file).read_text().strip(), int(port), keep) as got:
            got.answer = lambda _: 500 if random.random() < float(share) else 204
            print("ready", flush=True)
            threading.Event().wait()


if __name__ == "__main__":
    main()
