"""Claims: which reviewer looks at which item, so that two are not given the same one.

A claim is a lease in the store: a file that only one process can create, which says until when it holds. Its holder
renews it; if the holder is gone, it expires, and whoever creates the file of the next generation takes it over. A claim
is a courtesy and not a lock: where clocks differ by more than the lease, two reviewers may see the same item, and both
of their decisions are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from catalogs.store.store import Store
from troupe.errors import StoreError

__all__ = ["CLAIMS_FOLDER", "Claims"]

CLAIMS_FOLDER = "claims"
LEASE = timedelta(minutes=5)
_THREADS = 16


@dataclass(frozen=True)
class _Claim:
    """The last generation of the claims of an item."""

    item: str
    holder: str
    until: datetime
    generation: int


def _now() -> datetime:
    return datetime.now(UTC)


class Claims:
    """The claims of one reviewer's session.

    A queue keeps a few items ahead. It calls `claim` with everything that is pending, in its order, whenever it needs
    more; `renew` with what it has, every minute or two, and drops what is not returned; `release` with each item that
    was decided, and with the rest when the session ends. Use the key of the picture as the item where a film has one,
    so that one reviewer gets all its languages.

    Args:
        store: store of the catalog.
        reviewer: name of the reviewer, for others.
        lease: how long a claim holds without being renewed.
        clock: returns the time, UTC.

    Raises:
        StoreError: from every method: the store cannot be read or written.

    Example:
        >>> claims = Claims(store, "Ana")
        >>> claims.claim(pending, 5)
        >>> claims.release([decided])
    """

    def __init__(
        self, store: Store, reviewer: str, lease: timedelta = LEASE, clock: Callable[[], datetime] = _now
    ) -> None:
        self._store, self._reviewer, self._lease, self._clock = store, reviewer, lease, clock
        self._holder = f"{reviewer}/{uuid4().hex}"

    def claim(self, items: Iterable[str], count: int) -> list[str]:
        """Return the first items that nobody else has claimed, now claimed by this session; also those it had before.

        Args:
            items: keys of items, the first ones preferred.
            count: maximum number of items to return.
        """
        current, now, taken = self._current(), self._clock(), list[str]()
        for item in items:
            if len(taken) >= count:
                break
            claim = current.get(item)
            mine = claim is not None and claim.holder == self._holder
            free = claim is None or claim.until <= now
            if item not in taken and (mine or (free and self._take(item, claim))):
                taken.append(item)
        return taken

    def renew(self, items: Iterable[str]) -> list[str]:
        """Extend the claims, and return those items that this session still has."""
        current, kept = self._current(), []
        for item in items:
            claim = current.get(item)
            if claim is not None and claim.holder == self._holder:
                self._store.replace(self._content(item), _key(item, claim.generation))
                kept.append(item)
        return kept

    def release(self, items: Iterable[str]) -> None:
        """Give up claims of this session; others are left alone."""
        current = self._current()
        for item in items:
            claim = current.get(item)
            if claim is not None and claim.holder == self._holder:
                self._store.delete(_key(item, claim.generation))

    def others(self) -> Mapping[str, str]:
        """Return the items that other sessions have claimed, with the names of their reviewers."""
        now = self._clock()
        return {
            item: claim.holder.rpartition("/")[0]
            for item, claim in self._current().items()
            if claim.holder != self._holder and claim.until > now
        }

    def _take(self, item: str, expired: _Claim | None) -> bool:
        """Create the next generation of an item's claims, and return whether no other session was faster."""
        generation = expired.generation + 1 if expired else 1
        try:
            created = self._store.put_bytes(self._content(item), _key(item, generation)).created
        except StoreError:
            if self._store.exists(_key(item, generation)):
                raise
            created = False  # another session's, released before it could be compared
        if not created:
            return False
        keys = self._store.list(_folder(item))
        if keys[-1:] != [_key(item, generation)]:  # another session has taken it over meanwhile
            self._store.delete(_key(item, generation))
            return False
        for key in keys[:-1]:
            self._store.delete(key)
        return True

    def _content(self, item: str) -> bytes:
        until = (self._clock() + self._lease).isoformat()
        return json.dumps({"item": item, "holder": self._holder, "until": until}).encode()

    def _current(self) -> dict[str, _Claim]:
        """Return the claims by item; some have expired."""
        last = {key.rpartition("/")[0]: key for key in self._store.list(CLAIMS_FOLDER)}  # sorted by generation
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="claims") as pool:
            found = [claim for claim in pool.map(self._read, last.values()) if claim is not None]
        return {claim.item: claim for claim in found}

    def _read(self, key: str) -> _Claim | None:
        """Return a claim; None if it was released meanwhile, or is damaged."""
        try:
            if (data := self._content_of(key)) is None:
                return None
            values = json.loads(data)
            until = datetime.fromisoformat(values["until"])
            return _Claim(str(values["item"]), str(values["holder"]), until, int(key.rpartition("/")[2][:-5]))
        except (ValueError, TypeError, KeyError):
            self._store.delete(key)
            return None

    def _content_of(self, key: str) -> bytes | None:
        """Return a file; None if it was deleted meanwhile."""
        try:
            return self._store.read(key)
        except StoreError:
            return self._store.read(key) if self._store.exists(key) else None


def _folder(item: str) -> str:
    return f"{CLAIMS_FOLDER}/{hashlib.sha256(item.encode()).hexdigest()[:32]}"


def _key(item: str, generation: int) -> str:
    return f"{_folder(item)}/{generation:09d}.json"
