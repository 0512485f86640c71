"""Web servers that are busy, refuse, or break off: what is retried, and what the job reports."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import Any

import pytest

from catalogs.requests.access.http_errors import retry_after
from catalogs.requests.access.input_policy import InputPolicy, trusting
from catalogs.requests.inputs import content_type, files_in, localise, read, stat
from tests.catalogs.requests.access.test_guarded_http import Handler, Server, serving
from tests.catalogs.requests.test_inputs import after
from troupe.errors import Cancelled, MissingInput, NotAllowed, StoreError, TroupeError, UnreachableInput


class Busy(Server):
    """Gives its answers, a status and headers each, to the first requests, and then serves a picture."""

    answers: list[tuple[int, dict[str, str]]]


class BusyHandler(Handler):
    server: Busy

    def do_GET(self) -> None:
        self.server.requests += 1
        status, headers = self.server.answers.pop(0) if self.server.answers else (200, {"Content-Length": "7"})
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if status == 200 and self.command == "GET":
            self.wfile.write(b"picture")

    do_HEAD = do_GET


@pytest.fixture(name="busy")
def _busy() -> Iterator[Busy]:
    with serving(Busy) as server:
        assert isinstance(server, Busy)
        server.RequestHandlerClass = BusyHandler
        server.answers = []
        yield server


@pytest.fixture(name="pauses")
def _pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    taken: list[float] = []
    monkeypatch.setattr("catalogs.store.retry.time.sleep", taken.append)
    return taken


def address(server: Server) -> tuple[str, InputPolicy]:
    url = f"http://127.0.0.1:{server.port}/ruby.png"
    return url, trusting(url)


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (400, MissingInput, "cannot be read: HTTP 400 Bad Request; check the URI"),
        (401, NotAllowed, "cannot be read: HTTP 401 Unauthorized; check its permissions"),
        (403, NotAllowed, "cannot be read: HTTP 403 Forbidden; check its permissions.*may have expired"),
        (404, MissingInput, "does not exist; check the URI"),
        (410, MissingInput, "does not exist; check the URI"),
        (429, UnreachableInput, "cannot read http.*: HTTP 429 Too Many Requests; .*run again later"),
        (500, UnreachableInput, "cannot read http.*: HTTP 500 Internal Server Error; .*run again later"),
        (503, UnreachableInput, "cannot read http.*: HTTP 503 Service Unavailable; .*run again later"),
        (599, UnreachableInput, "cannot read http.*: HTTP 599; .*run again later"),
    ],
)
def test_an_answer_other_than_the_file_is_reported_with_its_status(
    busy: Busy, pauses: list[float], tmp_path: Path, status: int, kind: type[TroupeError], message: str
) -> None:
    url, policy = address(busy)
    for ask in (
        lambda: stat(url, policy),
        lambda: localise(url, tmp_path, policy=policy),
        lambda: read(url, policy),
        lambda: content_type(url, policy),
        lambda: files_in(url, policy),
    ):
        busy.answers = [(status, {})] * 6
        with pytest.raises(TroupeError, match=message) as caught:
            ask()
        assert type(caught.value) is kind
        assert (6 - len(busy.answers) > 2) == (kind is UnreachableInput)
    assert bool(pauses) == (kind is UnreachableInput)


def test_a_loop_of_redirects(busy: Busy, pauses: list[float], tmp_path: Path) -> None:
    url, policy = address(busy)
    for ask in (lambda: stat(url, policy), lambda: read(url, policy)):
        busy.answers = [(302, {"Location": url})] * 40
        with pytest.raises(MissingInput, match="redirected too many times; check the URI"):
            ask()
    assert not pauses


def test_a_busy_server_is_asked_again_after_as_long_as_it_asks_for(
    busy: Busy, pauses: list[float], tmp_path: Path
) -> None:
    url, policy = address(busy)
    # A look at a file is a HEAD, and a GET if that fails.
    busy.answers = [(503, {"Retry-After": "7"})] * 4
    assert stat(url, policy).size == 7
    assert sum(pauses) == pytest.approx(14, abs=2)
    pauses.clear()
    busy.answers = [(200, {"Content-Length": "7"}), (429, {"Retry-After": formatdate(time() + 9, usegmt=True)})]
    assert localise(url, tmp_path, policy=policy).read_bytes() == b"picture"
    assert sum(pauses) == pytest.approx(9, abs=2)


def test_a_server_that_asks_for_too_long_is_not_asked_again(busy: Busy, pauses: list[float]) -> None:
    url, policy = address(busy)
    busy.answers = [(503, {"Retry-After": "3600"})] * 2
    with pytest.raises(UnreachableInput, match=r"503 Service Unavailable \(Retry-After: 3600 s\); run again later"):
        stat(url, policy)
    assert not pauses


def test_the_pause_can_be_cancelled(busy: Busy, tmp_path: Path) -> None:
    url, policy = address(busy)
    busy.answers = [(503, {"Retry-After": "50"})] * 6
    with pytest.raises(Cancelled):
        localise(url, tmp_path, after(2), policy=policy)
    assert busy.requests == 2


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 0), ("5", 5), ("-5", 0), ("soon", 0), ("Sun, 06 Nov 1994 08:49:37 GMT", 0)]
)
def test_retry_after(text: str, seconds: float) -> None:
    assert retry_after(text) == seconds


def test_a_download_that_breaks_off(busy: Busy, pauses: list[float], tmp_path: Path) -> None:
    url, policy = address(busy)
    busy.answers = [(200, {"Content-Length": "100"})] * 4
    with pytest.raises(UnreachableInput, match="the connection ended before the whole file had arrived") as caught:
        localise(url, tmp_path, policy=policy)
    assert "HTTP" not in str(caught.value)
    assert len(pauses) >= 2
    busy.answers = [(200, {"Content-Length": "7"}), (200, {"Content-Length": "100"})]
    assert localise(url, tmp_path, policy=policy).read_bytes() == b"picture"


def test_an_answer_that_is_not_http(busy: Busy, pauses: list[float]) -> None:
    url, policy = address(busy)
    busy.answers = [(403, {"": "x"})] * 6
    with pytest.raises(UnreachableInput, match="the answer is not valid HTTP; check"):
        stat(url, policy)


def test_servers_that_cannot_be_reached(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        url = f"http://127.0.0.1:{port}/a.png"
        for ask in (stat, read):
            with pytest.raises(UnreachableInput, match=f"connect to 127.0.0.1:{port}: Connection refused; check that"):
                ask(url, trusting(url))

        def unknown(*_: Any, **__: Any) -> Any:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        real = socket.getaddrinfo
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda host, *a, **o: unknown() if "invalid" in str(host) else real(host, *a, **o)
        )
        for ask in (stat, read):
            with pytest.raises(UnreachableInput, match=r"the host nosuchhost\.invalid was not found; check"):
                ask("http://nosuchhost.invalid/a.png")
        assert pauses
        pauses.clear()
        closed.listen()
        monkeypatch.setattr("catalogs.requests.inputs._ANSWER_SECONDS", 0.1)
        for ask in (stat, read):
            with pytest.raises(UnreachableInput, match=r"no answer within 0\.1 s; check") as caught:
                ask(url, trusting(url))
        assert not pauses
        assert isinstance(caught.value, StoreError)  # the pool tries it again
