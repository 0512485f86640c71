"""Checks of what Prefect needs, for the start of a flow and for `troupe doctor`."""

from __future__ import annotations

import flows.server.prefect_env  # noqa: F401  # isort: skip

import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from packaging.version import InvalidVersion, Version
from prefect import __version__
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from catalogs.store.uris import redacted
from troupe.errors import TroupeError

__all__ = ["ask_configured_server", "notes"]

ANSWER_SECONDS = 10.0
PACKAGES = ("flows", "tasks", "models", "catalogs", "troupe")


def ask_configured_server() -> str:
    """Ask the configured server for its version, and return it.

    Raises:
        TroupeError: the server does not answer, refuses this client, or is of a version that it cannot talk to.
    """
    url = PREFECT_API_URL.value() or ""
    try:
        with (
            temporary_settings({PREFECT_API_REQUEST_TIMEOUT: ANSWER_SECONDS, PREFECT_CLIENT_MAX_RETRIES: 1}),
            get_client(sync_client=True) as client,
        ):
            return _version(client)
    except PrefectHTTPStatusError as error:
        trouble, advice = _refusal(error.response.status_code)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        trouble = f"does not answer: {str(error) or type(error).__name__}"
        advice = f"start it{_proxy_advice(url)}"
    except (ValueError, InvalidVersion):
        trouble, advice = "is not the API of a Prefect server", "its URL ends in /api"
    raise TroupeError(
        f"the Prefect server at {redacted(url)} {trouble}; {advice}, correct PREFECT_API_URL "
        "(`prefect config view` shows where it is set), or run with --local to do without Prefect"
    )


def _version(client: SyncPrefectClient) -> str:
    if client.server_type.value == "cloud":
        client.read_flows(limit=1)
        return "Prefect Cloud"
    answer = client.api_version()
    if Version(answer).major != Version(__version__).major:
        raise TroupeError(
            f"the Prefect server at {redacted(str(client.api_url))} is of version {answer}, and "
            f"this is {__version__}; use a server of the same major version, or run with --local to do without Prefect"
        )
    return f"a server of version {answer}"


def _refusal(status: int) -> tuple[str, str]:
    if status in (401, 403):
        return (
            f"refuses this client (HTTP {status})",
            "set PREFECT_API_AUTH_STRING, or PREFECT_API_KEY for Prefect Cloud",
        )
    if status == 404:
        return "is not the API of a Prefect server (HTTP 404)", "its URL ends in /api"
    return f"answers with HTTP {status}", "look into its log"


def _proxy_advice(url: str) -> str:
    """Return what to do about the proxy on the way to the server; empty if there is none."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy is None or urllib.request.proxy_bypass(host):
        return ""
    return f", add {host} to NO_PROXY if it is not reached through the proxy {redacted(proxy)}"


def notes() -> list[str]:
    """Return what of the surroundings is got around, and may disturb other programs."""
    found = []
    proxies = {redacted(url) for kind, url in urllib.request.getproxies().items() if kind != "no"}
    if proxies:
        found.append(f"this machine's own services are reached past the proxy {', '.join(sorted(proxies))}")
    candidates = (path for name in PACKAGES for path in (Path(f"{name}.py"), Path(name, "__init__.py")))
    hiding = [str(path) for path in candidates if path.exists() and Path.cwd() != Path(__file__).parents[2]]
    if hiding:
        found.append(
            f"{', '.join(hiding)} in this folder would hide troupe's packages from `python -m`, not from a run"
        )
    return found
