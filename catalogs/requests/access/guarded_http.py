"""HTTP for inputs: every request and every connection is held against an `InputPolicy`, redirects included.

A check of the host's name would not do: a server may redirect, a name may have several addresses, or another one at
the next look-up. So the URL of each hop is checked before it is requested, and the very address of each connection
before it is opened.
"""

from __future__ import annotations

import errno
import functools
import socket
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import aiohttp

from catalogs.requests.access.input_policy import InputPolicy, is_public, numeric

__all__ = ["guarded_client"]


@dataclass
class _Hop:
    """One request of a chain of redirects.

    Attributes:
        private: whether private addresses may be connected to.
        refused: address that was refused; empty if none was.
    """

    private: bool = False
    refused: str = ""


_hop: ContextVar[_Hop | None] = ContextVar("hop", default=None)


@functools.cache  # fsspec keeps one file system for equal arguments, and functions are equal to themselves only
def guarded_client(policy: InputPolicy) -> Callable[..., Awaitable[aiohttp.ClientSession]]:
    """Return fsspec's `get_client` for HTTP: makes a session that reaches only what the policy allows."""

    async def check_hop(request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        url, host = str(request.url), request.url.raw_host or ""
        policy.check(url)
        # The proxy of a user's own fsspec configuration may be anywhere; it decides what is reached through it.
        hop = _Hop(private=policy.allows_private(url) or request.proxy is not None)
        if not policy.allows_private(url) and numeric(host) and not is_public(host):
            raise policy.refuse_address(url, host)
        token = _hop.set(hop)
        try:
            return await handler(request)
        except aiohttp.ClientConnectionError as error:
            if hop.refused:
                raise policy.refuse_address(url, hop.refused) from error
            raise
        finally:
            _hop.reset(token)

    async def get_client(**options: Any) -> aiohttp.ClientSession:
        # No connection that one hop may open serves another hop, which may not.
        connector = aiohttp.TCPConnector(socket_factory=_socket, force_close=policy.names_hosts)
        return aiohttp.ClientSession(connector=connector, middlewares=(check_hop,), **options)

    return get_client


def _socket(address: Any) -> socket.socket:
    """Return a socket for a connection to an address.

    Raises:
        PermissionError: the address is not public, and the hop may reach public ones only.
    """
    family, kind, protocol, _, (host, *_) = address
    hop = _hop.get()
    if (hop is None or not hop.private) and not is_public(str(host)):
        if hop is not None:
            hop.refused = str(host)
        raise PermissionError(errno.EACCES, f"{host} is not a public address")
    return socket.socket(family, kind, protocol)
