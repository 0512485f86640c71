"""The server of the review application, for the length of the command."""

from __future__ import annotations

import asyncio
import logging
import socket

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from troupe.errors import SettingsError, TroupeError

__all__ = ["bind", "make_server", "serve"]

MAX_CONNECTIONS = 256
"""Connections that are served at a time; further ones are answered with 503, and twice as many are closed."""
HEADER_TIMEOUT = 10.0
"""Seconds within which a connection has to send the header of a request."""
SEND_TIMEOUT = 60.0
"""Seconds within which a client has to take what was sent. A browser whose video is paused asks again later."""


class Protocol(H11Protocol):
    """HTTP/1.1 that closes connections of clients that are too slow, which uvicorn leaves open."""

    _silent: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Close a connection on which no request arrives, and all beyond the most that are kept."""
        super().connection_made(transport)
        if len(self.connections) > 2 * MAX_CONNECTIONS:
            transport.abort()
        else:
            self._silent = self.loop.call_later(HEADER_TIMEOUT, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        _cancel(self._silent, self._stalled)

    def data_received(self, data: bytes) -> None:
        """Close the connection if this is the start of a request whose rest does not arrive."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            _cancel(self._silent)
            self._silent = None
        elif self._silent is None and not self.transport.is_closing():
            self._silent = self.loop.call_later(HEADER_TIMEOUT, self.transport.abort)

    def pause_writing(self) -> None:
        """Close the connection if the client does not take what was sent."""
        super().pause_writing()
        self._stalled = self.loop.call_later(SEND_TIMEOUT, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on, because the client has taken what was sent."""
        super().resume_writing()
        _cancel(self._stalled)


def _is_fault(record: logging.LogRecord) -> bool:
    """Return whether a message is about a fault, rather than a stream that Ctrl-C or the store's absence ended."""
    error = record.exc_info[1] if record.exc_info else None
    return not str(record.msg).startswith("Cancel ") and not isinstance(error, asyncio.CancelledError | TroupeError)


def _cancel(*timers: asyncio.TimerHandle | None) -> None:
    for timer in timers:
        if timer is not None:
            timer.cancel()


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Args:
        host: address or name.
        port: port; 0 for a free one.

    Raises:
        SettingsError: the address cannot be used.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        raise SettingsError(
            f"cannot listen on {host}, port {port}: {getattr(error, 'strerror', '') or error}"
        ) from error


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM, which also end open streams."""
    make_server(app).run(sockets=[listener])


def make_server(app: ASGIApp) -> uvicorn.Server:
    """Return a server with limits for slow and for many clients."""
    logging.getLogger("uvicorn.error").addFilter(_is_fault)
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        h11_max_incomplete_event_size=16 * 1024,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)
