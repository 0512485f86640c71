"""The audit log of a store: what was done, when and by whom, as a chain of entries that cannot be changed unnoticed.

Entry n is `audit/<n>.json`, created exclusively, and contains the SHA-256 of entry n-1. So entries can only be added
at the end, also by several processes at once, and an entry that is changed, removed or inserted later breaks the chain.
Whoever keeps the hash of the last entry elsewhere can also prove that none is missing at the end.
"""

from __future__ import annotations

import getpass
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from catalogs.store.store import Store
from catalogs.store.uris import redacted_value
from troupe.errors import StoreError
from troupe.labels import label_key, label_sha256
from troupe.process.log_context import process_name

__all__ = [
    "AUDIT_FOLDER",
    "AuditEntry",
    "Event",
    "Verdict",
    "append_audit",
    "last_entry",
    "read_audit",
    "read_entry",
    "verify_audit",
]

AUDIT_FOLDER = "audit"
Event: TypeAlias = Literal["run", "export", "forget", "consent", "revoke", "policy"]
_FIRST = "0" * 64
_ATTEMPTS = 1000
_THREADS = 16


@dataclass(frozen=True)
class AuditEntry:
    """An entry of the audit log.

    Attributes:
        number: its place, from 1.
        at: when it was added, UTC.
        event: what happened, an `Event`.
        by: who did it: user, host and process.
        identities: people whom it concerns, as hashes of their labels: `troupe.labels.label_sha256`.
        facts: details, by name.
        previous: SHA-256 of the entry before it.
        sha256: SHA-256 of this entry.
    """

    number: int
    at: datetime
    event: str
    by: str
    identities: tuple[str, ...]
    facts: Mapping[str, Any]
    previous: str
    sha256: str


@dataclass(frozen=True)
class Verdict:
    """What checking the chain found.

    Attributes:
        entries: number of entries.
        last: SHA-256 of the last entry; zeros where there is none.
        problems: what is wrong, the first places first.
    """

    entries: int
    last: str
    problems: tuple[str, ...]


def append_audit(store: Store, event: Event, facts: Mapping[str, Any], identities: Iterable[str] = ()) -> AuditEntry:
    """Add an entry at the end of the log. Credentials in URIs are masked, and people are not named.

    Args:
        identities: labels of the people whom it concerns.

    Raises:
        StoreError: the store cannot be read or written.
    """
    number, previous = _next(store)
    for _ in range(_ATTEMPTS):
        values = {
            "number": number,
            "at": datetime.now(UTC).isoformat(),
            "event": event,
            "by": f"{_user()} on {process_name()}",
            "identities": sorted({label_sha256(identity) for identity in identities if label_key(identity)}),
            "facts": redacted_value(dict(facts)),
            "previous": previous,
        }
        data = json.dumps(values, indent=1, ensure_ascii=False).encode()
        put = store.put_bytes(data, _key(number))
        if put.created:
            return _parsed(store, _key(number), data)
        # Another process added an entry meanwhile: this one comes after it.
        number, previous = number + 1, put.sha256
    raise StoreError(f"{store.uri(AUDIT_FOLDER)}: too many processes add entries at once; try again")


def read_audit(store: Store, since: datetime | None = None, identity: str = "") -> Iterator[AuditEntry]:
    """Yield the entries of the log in their order.

    Args:
        since: only entries from then on.
        identity: only entries that concern this person, in any spelling.

    Raises:
        StoreError: an entry cannot be read.
    """
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="audit") as pool:
        for key, data in zip(keys := _keys(store), pool.map(store.read, keys), strict=True):
            entry = _parsed(store, key, data)
            if (since is None or entry.at >= since) and (not identity or label_sha256(identity) in entry.identities):
                yield entry


def last_entry(store: Store, known: int = 0) -> int:
    """Return the number of the last entry; 0 without any.

    Args:
        known: number of an entry that exists; the ones after it are looked for one by one, without listing all.

    Raises:
        StoreError: the store cannot be read.
    """
    if not known:
        return _number(keys[-1]) if (keys := _keys(store)) else 0
    while store.exists(_key(known + 1)):
        known += 1
    return known


def read_entry(store: Store, number: int) -> AuditEntry:
    """Return an entry of the log.

    Raises:
        StoreError: it does not exist, or is damaged.
    """
    return _parsed(store, _key(number), store.read(_key(number)))


def verify_audit(store: Store, expected: str = "") -> Verdict:
    """Check the chain of the log from its first entry to its last.

    Args:
        expected: SHA-256 of an entry that was the last one once, and must still be there.

    Raises:
        StoreError: the log cannot be read.
    """
    problems: list[str] = []
    previous, found, number = _FIRST, {_FIRST}, 0
    keys = _keys(store)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="audit") as pool:
        for key, data in zip(keys, pool.map(store.read, keys), strict=True):
            number += 1
            if key != _key(number):
                problems.append(f"{store.uri(_key(number))} is missing")
                number = _number(key)
            try:
                entry = _parsed(store, key, data)
            except StoreError as error:
                problems.append(error.message)
            else:
                if entry.previous != previous:
                    problems.append(f"{store.uri(key)} does not follow the entry before it: one of the two was changed")
                if entry.number != number:
                    problems.append(f"{store.uri(key)} contains entry {entry.number}")
            previous = hashlib.sha256(data).hexdigest()
            found.add(previous)
    if expected and expected.lower() not in found:
        problems.append(f"no entry has the hash {expected}: entries were changed, or removed at the end")
    return Verdict(len(keys), previous, tuple(problems))


def _next(store: Store) -> tuple[int, str]:
    """Return the number of the next entry, and the hash of the last one."""
    if not (keys := _keys(store)):
        return 1, _FIRST
    return _number(keys[-1]) + 1, hashlib.sha256(store.read(keys[-1])).hexdigest()


def _keys(store: Store) -> list[str]:
    return sorted(key for key in store.list(AUDIT_FOLDER) if _number(key))


def _key(number: int) -> str:
    return f"{AUDIT_FOLDER}/{number:09d}.json"


def _number(key: str) -> int:
    stem = key.rpartition("/")[2].removesuffix(".json")
    return int(stem) if stem.isascii() and stem.isdigit() and key == _key(int(stem)) else 0


def _parsed(store: Store, key: str, data: bytes) -> AuditEntry:
    try:
        values = json.loads(data)
        return AuditEntry(
            number=int(values["number"]),
            at=datetime.fromisoformat(values["at"]),
            event=str(values["event"]),
            by=str(values["by"]),
            identities=tuple(map(str, values["identities"])),
            facts=dict(values["facts"]),
            previous=str(values["previous"]),
            sha256=hashlib.sha256(data).hexdigest(),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        check = f"{store.command('catalog audit --verify')} checks the log"
        raise StoreError(f"{store.uri(key)} is damaged; {check}") from error


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
