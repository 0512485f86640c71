"""Errors of HTTP: which may not recur, how long a server asks to wait, and what is reported."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp

from catalogs.store.error_text import reason
from troupe.errors import InputError, MissingInput, NotAllowed, StoreError, UnreachableInput

__all__ = ["asked_pause", "http_error", "http_reason", "is_busy", "retry_after"]

_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_REFUSED = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
    HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS,
)
_BUSY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)


def is_busy(error: aiohttp.ClientResponseError) -> bool:
    """Return whether the server may answer the same request later: HTTP 408, 425, 429 and 5xx, and broken answers."""
    return error.status in _BUSY or error.status >= 500 or _is_broken(error)


def asked_pause(error: Exception) -> float:
    """Return how many seconds the server asks to wait before the next request; 0 if it does not."""
    headers = error.headers if isinstance(error, aiohttp.ClientResponseError) else None
    return retry_after(headers.get("Retry-After", "")) if headers else 0.0


def retry_after(text: str) -> float:
    """Return the seconds of a header `Retry-After`, a number or a date; 0 if it is neither, or in the past."""
    if text.isascii() and text.isdecimal() and len(text) < 10:
        return float(text)
    try:
        when = parsedate_to_datetime(text)
        return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return 0.0


def http_reason(error: Exception) -> str:
    """Return what a client's error says, in words that do not need knowledge of the client."""
    if isinstance(error, aiohttp.TooManyRedirects):
        return "redirected too many times"
    if isinstance(error, aiohttp.ClientResponseError):
        if _is_broken(error):
            return "the answer is not valid HTTP"
        known = error.status in HTTPStatus.__members__.values()
        return f"HTTP {error.status} {HTTPStatus(error.status).phrase}" if known else f"HTTP {error.status}"
    if isinstance(error, aiohttp.NonHttpUrlRedirectClientError):
        return f"redirected to {reason(error)}, which is not http(s)"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the host {error.host} was not found"
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        text = os.strerror(cause.errno) if cause.errno and type(cause) is not OSError else reason(cause)
        return f"cannot connect to {error.host}:{error.port}: {text}"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection ended before the whole file had arrived"
    return reason(error)


def http_error(where: str, error: aiohttp.ClientError) -> InputError | StoreError:
    """Return the error of the jobs that need a file that a web server did not give.

    Args:
        where: URL of the file, as it may be shown.
        error: what the client raised.
    """
    text = http_reason(error)
    if isinstance(error, aiohttp.TooManyRedirects | aiohttp.RedirectClientError | aiohttp.InvalidURL):
        return MissingInput(f"{where} cannot be read: {text}; check the URI")
    if not isinstance(error, aiohttp.ClientResponseError) or _is_broken(error):
        return UnreachableInput(f"cannot read {where}: {text}; check that it is reachable, and run again")
    if error.status in _GONE:
        return MissingInput(f"{where} does not exist; check the URI")
    if error.status in _REFUSED:
        return NotAllowed(
            f"{where} cannot be read: {text}; check its permissions, and whether a signed URL may have expired"
        )
    if is_busy(error):
        pause = asked_pause(error)
        asked = f" (Retry-After: {pause:.0f} s)" if pause else ""
        return UnreachableInput(f"cannot read {where}: {text}{asked}; run again later")
    return MissingInput(f"{where} cannot be read: {text}; check the URI")


def _is_broken(error: aiohttp.ClientResponseError) -> bool:
    """Return whether the client could not read the answer: it has no headers then, and the status is the client's."""
    return error.headers is None and not isinstance(error, aiohttp.TooManyRedirects)
