"""One request to a webhook."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import aiohttp

from catalogs.events import Endpoint, Event, Outcome, Signer
from catalogs.requests.access.guarded_http import guarded_client
from catalogs.requests.access.http_errors import http_reason, retry_after
from catalogs.requests.access.input_policy import InputPolicy
from troupe import __version__
from troupe.errors import TroupeError

__all__ = ["open_session", "post_event"]

_SECONDS = 20.0
"""Within which a receiver has to answer; it should put the event into a queue of its own first."""
_ANSWER_BYTES = 4096
"""Of an answer that are read, so that the connection can be used again."""


async def open_session(endpoint: Endpoint) -> aiohttp.ClientSession:
    """Return a session that reaches the endpoint's host: at public addresses only, unless it may be a private one."""
    policy = InputPolicy((endpoint.url,) if endpoint.allow_private else ("http://",))
    options: dict[str, Any] = {"timeout": aiohttp.ClientTimeout(total=_SECONDS), "cookie_jar": aiohttp.DummyCookieJar()}
    return await guarded_client(policy)(**options)


async def post_event(session: aiohttp.ClientSession, endpoint: Endpoint, signer: Signer, event: Event) -> Outcome:
    """Send an event. Redirects are not followed."""
    payload = event.payload()
    headers = {"content-type": "application/json", "user-agent": f"troupe/{__version__}"}
    headers |= signer.headers(event.id, payload, datetime.now(UTC))
    try:
        async with session.post(endpoint.url, data=payload, headers=headers, allow_redirects=False) as answer:
            with suppress(aiohttp.ClientError, asyncio.TimeoutError):  # the status is what counts
                await answer.content.read(_ANSWER_BYTES)
            return Outcome(answer.status, retry_after=retry_after(answer.headers.get("Retry-After", "")))
    except TimeoutError:
        return Outcome(0, f"no answer within {_SECONDS:g} s")
    except TroupeError as error:
        return Outcome(0, error.message)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Outcome(0, http_reason(error))
