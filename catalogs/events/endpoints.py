"""Endpoints: the webhooks of a store, and how far each of them is.

events/endpoints/<name>.json    URL, types and where the secret is; the secret itself is never in the store
events/state/<name>.json        its cursor, and how its deliveries went
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from catalogs.events.event import TYPES
from catalogs.events.queue import Cursor, Queue
from catalogs.events.signature import load_signer
from catalogs.requests.access.input_policy import is_public, numeric
from catalogs.store import uris
from catalogs.store.sealed import seal, unseal
from catalogs.store.store import Store
from troupe.errors import SettingsError, StoreError

__all__ = [
    "Endpoint",
    "State",
    "add_endpoint",
    "find_endpoint",
    "list_endpoints",
    "read_state",
    "remove_endpoint",
    "write_state",
]

_SETTINGS, _STATE = "events/endpoints", "events/state"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True)
class Endpoint:
    """A webhook.

    Attributes:
        name: its name in the store.
        url: where events are sent to.
        types: types of events that it gets: `job.done`, or `job` for all of a kind.
        secret_file: path of the file with its secret, on every machine that sends; empty for the environment.
        allow_private: whether its host may have a private address, and be reached by plain HTTP.
    """

    name: str
    url: str
    types: tuple[str, ...] = tuple(TYPES)
    secret_file: str = ""
    allow_private: bool = False

    def wants(self, type: str) -> bool:
        """Return whether it gets events of a type."""
        return type in self.types or type.partition(".")[0] in self.types


@dataclass
class State:
    """How far an endpoint is.

    Attributes:
        cursor: everything before it was delivered.
        ahead: ids of events after the cursor that were delivered.
        tries: by id of an event that was tried in vain: how often, and when first.
        sent: number of events delivered.
        dead: events that the receiver refused for good, the latest last: id, type, time and error.
        dead_count: number of all of them.
        last_success_at, failing_since: time of the last delivery, and of the first failure after it.
        last_error: what the last failure was.
        disabled: why nothing more is sent; empty if it is.
    """

    cursor: Cursor = field(default_factory=Cursor)
    ahead: set[str] = field(default_factory=set)
    tries: dict[str, tuple[int, datetime]] = field(default_factory=dict)
    sent: int = 0
    dead: list[dict[str, str]] = field(default_factory=list)
    dead_count: int = 0
    last_success_at: datetime | None = None
    failing_since: datetime | None = None
    last_error: str = ""
    disabled: str = ""


def add_endpoint(store: Store, endpoint: Endpoint, *, from_start: bool = False) -> None:
    """Add an endpoint, which gets what happens from now on.

    Args:
        from_start: whether it also gets everything that is recorded already.

    Raises:
        SettingsError: it exists, or is invalid; all problems are reported together.
        StoreError: the store cannot be written.
    """
    queue = Queue(store)
    problems = _problems(endpoint)
    if store.exists(_settings_key(endpoint.name)) and not problems:
        problems.append(f"{store.url} has a webhook {endpoint.name} already; remove it first, or use --name")
    if problems:
        raise SettingsError("invalid webhook: " + "; ".join(problems))
    # The state first: an endpoint without one would get everything.
    write_state(store, endpoint.name, State(cursor=Cursor() if from_start else queue.head()))
    store.replace(seal(asdict(endpoint)), _settings_key(endpoint.name))


def remove_endpoint(store: Store, name: str) -> None:
    """Remove an endpoint; what it did not get is not sent.

    Raises:
        SettingsError: it does not exist.
        StoreError: the store cannot be written.
    """
    find_endpoint(store, name)
    store.delete(_settings_key(name))
    store.delete(_state_key(name))


def find_endpoint(store: Store, name: str) -> Endpoint:
    """Return an endpoint by its name.

    Raises:
        SettingsError: it does not exist.
        StoreError: it cannot be read.
    """
    if _NAME.fullmatch(name) and store.exists(_settings_key(name)):
        return _endpoint(store, _settings_key(name))
    known = ", ".join(endpoint.name for endpoint in list_endpoints(store)) or "none"
    raise SettingsError(f"{store.url} has no webhook {name}; it has {known}")


def list_endpoints(store: Store) -> list[Endpoint]:
    """Return the endpoints of a store by name.

    Raises:
        StoreError: they cannot be read.
    """
    return [_endpoint(store, key) for key in store.list(_SETTINGS) if key.endswith(".json")]


def read_state(store: Store, name: str) -> State:
    """Return how far an endpoint is.

    Raises:
        StoreError: it cannot be read.
    """
    key = _state_key(name)
    if not store.exists(key):
        return State()
    try:
        values = unseal(store.read(key))
        cursor = values["cursor"]
        return State(
            cursor=Cursor(**{**cursor, "at": datetime.fromisoformat(cursor["at"])}),
            ahead=set(map(str, values["ahead"])),
            tries={str(id): (int(n), datetime.fromisoformat(at)) for id, (n, at) in values["tries"].items()},
            sent=int(values["sent"]),
            dead=list(values["dead"]),
            dead_count=int(values["dead_count"]),
            last_success_at=_time(values["last_success_at"]),
            failing_since=_time(values["failing_since"]),
            last_error=str(values["last_error"]),
            disabled=str(values["disabled"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{store.uri(key)} is damaged: {error}; remove it, and everything recorded is sent again"
        ) from error


def write_state(store: Store, name: str, state: State) -> None:
    """Write how far an endpoint is. Of two processes that send at once, the last one's counts: it delivered all that
    its cursor says.

    Raises:
        StoreError: it cannot be written.
    """
    values: dict[str, Any] = {
        "cursor": _plain(asdict(state.cursor)),
        "ahead": sorted(state.ahead),
        "tries": {id: (count, at.isoformat()) for id, (count, at) in state.tries.items()},
    }
    values |= {name: value for name, value in _plain(vars(state)).items() if name not in values}
    store.replace(seal(values), _state_key(name))


def _endpoint(store: Store, key: str) -> Endpoint:
    try:
        values = unseal(store.read(key))
        known = {name: values[name] for name in Endpoint.__dataclass_fields__ if name in values}
        return Endpoint(**known | {"types": tuple(values["types"])})
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{store.uri(key)} is damaged: {error}; remove it, and add the endpoint again") from error


def _problems(endpoint: Endpoint) -> list[str]:
    problems = []
    if not _NAME.fullmatch(endpoint.name):
        problems.append(f"the name {endpoint.name!r} must be lower-case letters, digits and '-', at most 63")
    known = {*TYPES, *(f"{kind}.{state}" for kind, states in TYPES.items() for state in states)}
    unknown = [type for type in endpoint.types if type not in known]
    if unknown or not endpoint.types:
        problems.append(
            f"unknown types {', '.join(unknown) or '(none)'}; use {', '.join(TYPES)}, or such as job.failed"
        )
    problems += _url_problems(endpoint)
    try:
        load_signer(endpoint.secret_file)
    except SettingsError as error:
        problems.append(error.message)
    return problems


def _url_problems(endpoint: Endpoint) -> list[str]:
    shown = uris.redacted(endpoint.url)
    try:
        parts = urlsplit(endpoint.url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        return [f"{shown} is not a URL: {error}"]
    if parts.scheme not in uris.HTTP or not host:
        return [f"{shown!r} is not an http:// or https:// URL"]
    problems = []
    if uris.has_credentials(endpoint.url) or shown != endpoint.url:
        problems.append(f"{shown} has credentials, which the store would show; receivers verify the signature instead")
    if parts.fragment:
        problems.append(f"{shown} has a fragment (#), which is never sent; remove it")
    if not endpoint.allow_private:
        if parts.scheme == "http":
            problems.append(
                f"{shown} is not encrypted; use https://, or --allow-private for a host of your own network"
            )
        address = numeric(host)
        if host.lower().rstrip(".") == "localhost" or (address and not is_public(address)):
            problems.append(f"{shown} is not at a public address; add --allow-private if it may be reached")
    return problems


def _settings_key(name: str) -> str:
    return f"{_SETTINGS}/{name}.json"


def _state_key(name: str) -> str:
    return f"{_STATE}/{name}.json"


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}
