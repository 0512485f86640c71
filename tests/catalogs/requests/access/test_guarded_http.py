"""Servers on loopback, behind redirects, numbers and names: not reached unless allowed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote

import pytest

from catalogs.requests.access.input_policy import InputPolicy, trusting
from catalogs.requests.inputs import content_type, files_in, localise, read, stat
from troupe.errors import MissingInput, NotAllowed, TroupeError


class Server(ThreadingHTTPServer):
    """Serves a picture at every path but `/to?URL`, which redirects; counts connections and requests."""

    connections = requests = 0

    def get_request(self) -> tuple[socket.socket, Any]:
        self.connections += 1
        return super().get_request()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Server6(Server):
    address_family = socket.AF_INET6


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.server.requests += 1
        path, _, target = self.path.partition("?")
        self.send_response(302 if path == "/to" else 200)
        if path == "/to":
            self.send_header("Location", unquote(target))
        self.send_header("Content-Length", "7" if path != "/to" else "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        if not self.path.startswith("/to?"):
            self.wfile.write(b"picture")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(kind: type[Server] = Server, host: str = "127.0.0.1") -> Iterator[Server]:
    with kind((host, 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(name="secret")
def _secret() -> Iterator[Server]:
    with serving() as server:
        yield server


def refused(uri: str, folder: Path, policy: InputPolicy) -> None:
    for ask in (
        lambda: stat(uri, policy),
        lambda: localise(uri, folder, policy=policy),
        lambda: read(uri, policy),
        lambda: content_type(uri, policy),
        lambda: files_in(uri, policy),
    ):
        with pytest.raises(NotAllowed, match=r"--allow-input http"):
            ask()


HOSTS = (
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "0.0.0.0",
    "0",
    "localhost",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "①②⑦.0.0.1",
)


@pytest.mark.parametrize("host", HOSTS)
def test_forms_of_loopback(secret: Server, host: str, tmp_path: Path) -> None:
    refused(f"http://{host}:{secret.port}/a.png", tmp_path, trusting())
    assert secret.connections == 0


def test_ipv6(tmp_path: Path) -> None:
    try:
        server = serving(Server6, "::1")
        with server as secret:
            for host in ("[::1]", "[0:0:0:0:0:0:0:1]", "[::1%25lo]"):
                with pytest.raises(TroupeError):
                    stat(f"http://{host}:{secret.port}/a.png")
            assert secret.connections == 0
            assert read(f"http://[::1]:{secret.port}/a.png", trusting(f"http://[::1]:{secret.port}")) == b"picture"
    except OSError:
        pytest.skip("this machine has no IPv6")


def test_redirects(secret: Server, tmp_path: Path) -> None:
    """The first server is allowed, and leads to others that are not."""
    with serving() as first:
        policy = trusting(f"http://127.0.0.1:{first.port}/")
        here = f"http://127.0.0.1:{first.port}"
        assert read(f"{here}/a.png", policy) == read(f"{here}/to?/a.png", policy) == b"picture"
        for host in ("127.0.0.1", "2130706433", "localhost", "[::ffff:127.0.0.1]"):
            refused(f"{here}/to?http://{host}:{secret.port}/a.png", tmp_path, policy)
            # and through a redirect that is allowed
            refused(f"{here}/to?{here}/to?http://{host}:{secret.port}/a.png", tmp_path, policy)
        with pytest.raises(TroupeError):
            read(f"{here}/to?file:///etc/passwd", policy)
    assert secret.connections == 0


def test_names_that_change(secret: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a name meant when it was looked at, what counts is the address of the connection."""
    real = socket.getaddrinfo
    answers = chain(["93.184.216.34"], repeat("127.0.0.1"))

    def changing(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        asked = host == "rebind.example" and not options.get("flags", 0) & socket.AI_NUMERICHOST
        return real(next(answers) if asked else host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", changing)
    assert socket.getaddrinfo("rebind.example", 80)[0][4][0] == "93.184.216.34"
    refused(f"http://rebind.example:{secret.port}/a.png", tmp_path, trusting())
    assert secret.connections == 0


def test_every_address_of_a_name_is_checked(secret: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def both(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host != "both.example" or options.get("flags", 0) & socket.AI_NUMERICHOST:
            return real(host, port, *args, **options)
        return [answer for ip in ("127.0.0.1", "0.0.0.0") for answer in real(ip, port, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    with pytest.raises(NotAllowed, match=r"both\.example.* is at (127\.0\.0\.1|0\.0\.0\.0), which is not a public"):
        stat(f"http://both.example:{secret.port}/a.png")
    assert secret.connections == 0


def test_an_allowed_host_is_reached_by_its_name_port_and_path_only(secret: Server) -> None:
    policy = trusting(f"http://localhost:{secret.port}/clips")
    assert read(f"http://localhost:{secret.port}/clips/a.mp4", policy) == b"picture"
    before = secret.connections
    for url in (
        f"http://127.0.0.1:{secret.port}/clips/a.mp4",
        f"http://localhost:{secret.port}/other/a.mp4",
        f"http://localhost:{secret.port}/clips/../other/a.mp4",
        f"http://localhost:{secret.port}/clips/%2e%2e/other/a.mp4",
        f"http://localhost:{secret.port}/clipsy/a.mp4",
    ):
        with pytest.raises(NotAllowed):
            read(url, policy)
    assert secret.connections == before


def test_a_missing_file_is_still_a_missing_file(secret: Server) -> None:
    class Missing(Handler):
        def do_HEAD(self) -> None:
            self.send_error(404)

        do_GET = do_HEAD

    secret.RequestHandlerClass = Missing
    with pytest.raises(MissingInput, match="does not exist"):
        stat(f"http://127.0.0.1:{secret.port}/a.png", trusting(f"http://127.0.0.1:{secret.port}"))
