"""Claims of the reviewers' sessions, so that two who work at once are given different items."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from catalogs.review.claims import Claims
from catalogs.store.store import Store

__all__ = ["SessionClaims", "subject"]

MAX_SESSIONS = 64
"""Sessions whose claims are known; those of others expire by themselves."""


def subject(row: Mapping[str, Any]) -> str:
    """Return what of a row is claimed: its picture, so that one reviewer gets all languages, else its film."""
    return str(row["picture_key"] or row["render_key"])


class SessionClaims:
    """The claims of every browser session. Thread-safe.

    Args:
        store: store of the claims.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, Claims] = OrderedDict()

    def claim(self, session: str, reviewer: str, subjects: Iterable[str]) -> set[str]:
        """Return those that nobody else has claimed, now claimed by this session."""
        wanted = list(dict.fromkeys(subjects))
        return set(self._of(session, reviewer).claim(wanted, len(wanted)))

    def renew(self, session: str, reviewer: str, subjects: Iterable[str]) -> list[str]:
        """Extend claims, and return those that the session still has."""
        return self._of(session, reviewer).renew(subjects)

    def release(self, session: str, reviewer: str, claimed: str) -> None:
        """Give up a claim."""
        self._of(session, reviewer).release([claimed])

    def _of(self, session: str, reviewer: str) -> Claims:
        with self._lock:
            claims = self._sessions.setdefault(session, Claims(self._store, reviewer))
            self._sessions.move_to_end(session)
            while len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)
            return claims
