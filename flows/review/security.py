"""Who may use the review application: token, session, host, origin, and the headers of every answer.

The token of the URL is exchanged for a cookie of this browser, and the browser is sent to the same address without it.
Every request needs the cookie, and a name of this server as its Host, so that a page of another site that resolves its
own name to this address gets nothing. Everything that writes needs the page's own Origin and the session's CSRF token.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import json
import secrets
import socket
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import Request, cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flows.review.pages.messages import message_page
from flows.server.proxy import LOOPBACK

__all__ = ["Guard", "Secrets", "allowed_hosts", "is_any", "is_loopback"]

MAX_BODY = 64 * 1024
"""Largest body of a request, in bytes."""
BODY_TIMEOUT = 10.0
"""Seconds within which a request's body has to arrive."""
_SAFE = ("GET", "HEAD")


class Secrets:
    """The token that opens the application, and the key that signs sessions, forms and media paths.

    Args:
        token: token of the URL; default a random one.
    """

    def __init__(self, token: str | None = None) -> None:
        self.token = token or secrets.token_urlsafe(32)
        self._key = secrets.token_bytes(32)

    def is_token(self, text: str) -> bool:
        """Return whether the text is the token."""
        return hmac.compare_digest(text.encode(), self.token.encode())

    def sign(self, purpose: str, text: str) -> str:
        """Return a signature of the text, which is valid for this purpose and until the process ends."""
        message = json.dumps([purpose, text]).encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()

    def is_signed(self, purpose: str, text: str, signature: str) -> bool:
        """Return whether the signature is that of the text."""
        return hmac.compare_digest(self.sign(purpose, text).encode(), signature.encode())

    def new_session(self) -> str:
        """Return the cookie of a new session."""
        session = secrets.token_urlsafe(16)
        return f"{session}.{self.sign('session', session)}"

    def session(self, cookie: str) -> str | None:
        """Return the session of a cookie; None if it is not one of ours."""
        session, _, signature = cookie.partition(".")
        return session if self.is_signed("session", session, signature) else None

    def csrf(self, session: str) -> str:
        """Return the token that forms of the session carry."""
        return self.sign("csrf", session)


def allowed_hosts(host: str) -> frozenset[str]:
    """Return the names under which a server that is bound to `host` is addressed, in lower case.

    With an address of all interfaces these are this machine's names; `Guard` then also accepts IP addresses, which no
    other site can take.
    """
    names = {host.lower()}
    if is_loopback(host):
        names |= {*LOOPBACK}
    elif is_any(host):
        names |= {"localhost", socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset(names)


def is_loopback(host: str) -> bool:
    """Return whether the address can be reached from this machine only."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def is_any(host: str) -> bool:
    """Return whether the address stands for all interfaces."""
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Guard:
    """ASGI middleware that answers everything that is not allowed, and adds the security headers.

    It sets `request.state.nonce`, `.session`, `.csrf`, `.reviewer`, `.cookie`, and for writes `.form`, the body.

    Args:
        app: the application.
        secrets: token and key.
        hosts: see `allowed_hosts`.
        any_address: whether IP addresses are accepted as Host.
        cookie: name of the session's cookie; browsers share cookies between the ports of a host.
    """

    def __init__(
        self, app: ASGIApp, secrets: Secrets, hosts: Iterable[str], *, any_address: bool = False, cookie: str = "troupe"
    ) -> None:
        self._app = app
        self._secrets = secrets
        self._hosts = frozenset(hosts)
        self._any_address = any_address
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state |= {"nonce": secrets.token_urlsafe(16), "session": None, "csrf": "", "reviewer": "", "form": {}}
        state["cookie"] = self._cookie
        send = _with_headers(send, state["nonce"])
        refusal = await self._refusal(scope, receive)
        await (refusal or self._app)(scope, receive, send)

    async def _refusal(self, scope: Scope, receive: Receive) -> Response | None:
        request = Request(scope)
        if not self._is_our_host(request.headers.get("host", "")):
            return message_page(request, 400, "Unknown host", "Open the address that `troupe review` has printed.")
        if request.url.path.startswith("/static/") and request.method in _SAFE:
            return None
        if "token" in request.query_params and request.method == "GET":
            return self._exchange(request)
        cookies = cookie_parser(request.headers.get("cookie", ""))
        session = self._secrets.session(cookies.get(self._cookie, ""))
        if session is None:
            return message_page(
                request,
                403,
                "Not signed in",
                "Open the whole address that `troupe review` has printed, with its token.",
            )
        state = scope["state"]
        state |= {"session": session, "csrf": self._secrets.csrf(session)}
        state["reviewer"] = dict(parse_qsl(cookies.get(f"{self._cookie}_reviewer", ""))).get("name", "")
        return None if request.method in _SAFE else await self._write_refusal(request, receive)

    async def _write_refusal(self, request: Request, receive: Receive) -> Response | None:
        """Return why a request may not write, None if it may."""
        if request.method != "POST":
            return message_page(request, 405, "Not allowed", "Only GET, HEAD and POST are.")
        origin = request.headers.get("origin", "")
        foreign = request.headers.get("sec-fetch-site", "same-origin") != "same-origin"
        if foreign or urlsplit(origin)[:2] != (request.url.scheme, request.headers.get("host", "")):
            return message_page(request, 403, "Refused", "The request came from a page of another site.")
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                body = await _read_body(receive)
            form = _decode(request.headers, body)
        except TimeoutError:
            return message_page(request, 408, "Too slow", "The request did not arrive in time.")
        except (ValueError, RecursionError) as error:
            return message_page(request, 400, "Unreadable request", str(error))
        csrf = request.headers.get("x-csrf-token") or str(form.pop("csrf", ""))
        if not hmac.compare_digest(csrf.encode(), request.state.csrf.encode()):
            return message_page(request, 403, "Refused", "The page is out of date; reload it.")
        request.state.form = form
        return None

    def _exchange(self, request: Request) -> Response:
        """Exchange a token for a cookie."""
        if not self._secrets.is_token(request.query_params["token"]):
            return message_page(
                request,
                403,
                "Wrong token",
                "Every start of `troupe review` has a new one; open the address of this one.",
            )
        rest = urlencode([(name, value) for name, value in request.query_params.multi_items() if name != "token"])
        # A path of two slashes would be another host.
        path = "/" + request.url.path.lstrip("/")
        response = RedirectResponse(f"{path}?{rest}" if rest else path, status_code=303)
        response.set_cookie(self._cookie, self._secrets.new_session(), httponly=True, samesite="strict")
        return response

    def _is_our_host(self, header: str) -> bool:
        try:
            host = urlsplit(f"//{header}").hostname or ""
        except ValueError:
            return False
        return host in self._hosts or (self._any_address and _is_address(host))


def _with_headers(send: Send, nonce: str) -> Send:
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Content-Security-Policy"] = policy
            headers["X-Content-Type-Options"] = "nosniff"
            headers["X-Frame-Options"] = "DENY"
            headers["Referrer-Policy"] = "no-referrer"
            headers["Cross-Origin-Resource-Policy"] = "same-origin"
            headers["Cross-Origin-Opener-Policy"] = "same-origin"
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return send_with_headers


async def _read_body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ValueError("the connection was closed")
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise ValueError(f"more than {MAX_BODY // 1024} kB")
        if not message.get("more_body"):
            return bytes(body)


def _decode(headers: Headers, body: bytes) -> dict[str, Any]:
    """Return the fields of a form or of a JSON object."""
    if headers.get("content-type", "").partition(";")[0].strip() == "application/json":
        value = json.loads(body)
        if not isinstance(value, Mapping):
            raise ValueError("not a JSON object")
        return dict(value)
    return dict(QueryParams(body.decode()))
