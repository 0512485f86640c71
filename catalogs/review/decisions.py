"""What was decided about the films of a store: append-only, by any number of reviewers at once.

The last verdict about a film counts, whether it was made about the film or about its picture, and a person's always
over a rule's. Nothing is ever changed: who changes their mind adds a decision, and undoing adds one, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from threading import RLock
from typing import Any, TypeAlias

import pyarrow as pa

from catalogs.review.decision import VERDICTS, Decision, DecisionKind, ReviewState, Scope, State
from catalogs.review.log import open_log, retrying
from catalogs.store.store import Store
from troupe.errors import SettingsError

__all__ = ["Decision", "DecisionKind", "Decisions", "ReviewState", "Scope", "State", "Subject"]

_DELETED_AT_ONCE = 500
Subject: TypeAlias = tuple[Scope, str]
"""What a decision is about: scope and key."""


class Decisions:
    """The decisions of a store, kept in memory and brought up to date by every call. Thread-safe.

    Args:
        store: store of the catalog.
        until: only decisions made by then; default all.

    Raises:
        StoreError: from every method: the decisions cannot be read or written.

    Example:
        >>> decisions = Decisions(open_store("troupe-store"))
        >>> decisions.add(Decision("Ana", "film", row["render_key"], "rejected", reason="mouth"))
        >>> decisions.of([row["render_key"]], [row["picture_key"]])[row["render_key"]].state
        'rejected'
    """

    def __init__(self, store: Store, until: datetime | None = None) -> None:
        self._store = store
        self._until = until
        self._log = open_log(store)
        self._lock = RLock()
        self._decided: tuple[Any, Any] | None = None
        self._clear()

    def add(self, decision: Decision) -> bool:
        """Add a decision, and return whether it is new; one with its decision_id is never stored twice.

        Raises:
            SettingsError: it undoes a decision that does not exist, or one about something else.
        """
        return self.add_all([decision]) == 1

    def add_all(self, decisions: Iterable[Decision]) -> int:
        """Add decisions in one commit, and return the number of new ones.

        Raises:
            SettingsError: as `add`; nothing is added.
        """
        given = {decision.decision_id: decision for decision in decisions}

        def attempt() -> int:
            # Read again by every attempt: the one before may have succeeded although its answer was lost.
            self._refresh()
            new = [decision for key, decision in given.items() if key not in self._by_id]
            for decision in new:
                self._check_undo(decision, given)
            if new:
                mine.update(decision.decision_id for decision in new)
                self._log.append(new)
                self._refresh()
            return len(mine & self._by_id.keys())

        mine: set[str] = set()
        with self._lock:
            count: int = retrying("add to", self._store, attempt)
            return count

    def of(self, film_keys: Sequence[str], picture_keys: Sequence[str | None] = ()) -> Mapping[str, ReviewState]:
        """Return the state of films by their keys.

        Args:
            film_keys: `render_key` of the films.
            picture_keys: `picture_key` of each film, None where it has none.
        """
        with self._lock:
            self._update()
            pairs = zip_longest(film_keys, picture_keys)
            return {film: self._state(film, picture) for film, picture in pairs if film is not None}

    def history(self, film_key: str, picture_key: str | None = None) -> list[Decision]:
        """Return everything that was decided and said about a film and its picture, the earliest first."""
        return self.histories([(film_key, picture_key)])[0]

    def histories(self, films: Iterable[tuple[str, str | None]]) -> list[list[Decision]]:
        """Return the history of each of several films, given by its key and that of its picture."""
        with self._lock:
            self._update()
            found = []
            for film, picture in films:
                subjects: list[Subject] = [("film", film)]
                if picture:
                    subjects.append(("picture", picture))
                about = [decision for subject in subjects for decision in self._about.get(subject, ())]
                found.append(sorted(about, key=lambda decision: decision.order))
            return found

    def all(self) -> list[Decision]:
        """Return the whole history, the earliest first."""
        with self._lock:
            self._update()
            return sorted(self._by_id.values(), key=lambda decision: decision.order)

    def verdicts(self) -> dict[Subject, Decision]:
        """Return the verdict that stands for each film and each picture that has one."""
        with self._lock:
            self._update()
            return dict(self._verdicts)

    def decided(self) -> tuple[Any, Any]:
        """Return arrays of the keys of the films, and of the pictures, that have a verdict; all others are pending."""
        with self._lock:
            self._update()
            if self._decided is None:
                keys: dict[Scope, list[str]] = {"film": [], "picture": []}
                for scope, key in self._verdicts:
                    keys[scope].append(key)
                self._decided = pa.array(keys["film"], pa.string()), pa.array(keys["picture"], pa.string())
            return self._decided

    def touched_by_people(self) -> set[Subject]:
        """Return the films and pictures about which a person decided or undid something."""
        with self._lock:
            self._update()
            given = (d for d in self._by_id.values() if d.automatic is None and d.kind != "comment")
            return {(decision.scope, decision.key) for decision in given}

    def delete(self, keys: Iterable[str]) -> int:
        """Delete everything that was decided and said about films and pictures, and return how many decisions it was.

        Only for films that are deleted themselves: of other ones, decisions are undone.
        """
        with self._lock:
            self._update()
            wanted = set(keys)
            found = sorted({decision.key for decision in self._by_id.values() if decision.key in wanted})
            count = sum(decision.key in wanted for decision in self._by_id.values())
            for start in range(0, len(found), _DELETED_AT_ONCE):
                part = found[start : start + _DELETED_AT_ONCE]
                retrying("delete from", self._store, lambda part=part: self._log.delete(part))
            self._update()
            return count

    def _clear(self) -> None:
        self._by_id: dict[str, Decision] = {}
        self._about: dict[Subject, list[Decision]] = defaultdict(list)
        self._undone: set[str] = set()
        self._verdicts: dict[Subject, Decision] = {}
        self._decided = None

    def _update(self) -> None:
        retrying("read", self._store, self._refresh)

    def _refresh(self) -> None:
        """Read what was stored since the last time."""
        everything, new = self._log.read_new()
        if everything:
            self._clear()
        changed: set[Subject] = set()
        for decision in new:
            if decision.decision_id in self._by_id or (self._until and decision.decided_at > self._until):
                continue
            subject: Subject = (decision.scope, decision.key)
            self._by_id[decision.decision_id] = decision
            self._about[subject].append(decision)
            changed.add(subject)
            if decision.undoes is not None:
                self._undone.add(decision.undoes)
        for subject in changed:
            verdict = self._verdict(self._about[subject])
            if verdict is None:
                self._verdicts.pop(subject, None)
            else:
                self._verdicts[subject] = verdict
        if changed:
            self._decided = None

    def _state(self, film: str, picture: str | None) -> ReviewState:
        by_film, by_picture = self._verdicts.get(("film", film)), self._verdicts.get(("picture", picture or ""))
        if by_film is not None and by_picture is not None:
            return ReviewState.by(max(by_film, by_picture, key=lambda verdict: verdict.weight))
        return ReviewState.by(by_film or by_picture)

    def _verdict(self, about: Sequence[Decision]) -> Decision | None:
        """Return the verdict that counts, of those about a subject that were not undone."""
        if len(about) == 1 and about[0].kind in VERDICTS:
            return None if about[0].decision_id in self._undone else about[0]
        about = [decision for decision in about if decision.kind != "comment"]
        # Of a person, undoing the last verdict leaves the one before; of rules, only the last one says anything.
        by_rules = max((d for d in about if d.automatic is not None), key=lambda d: d.order, default=None)
        standing = [
            decision
            for decision in about
            if decision.kind != "undo"
            and decision.decision_id not in self._undone
            and (decision.automatic is None or decision is by_rules)
        ]
        return max(standing, key=lambda verdict: verdict.weight, default=None)

    def _check_undo(self, decision: Decision, given: Mapping[str, Decision]) -> None:
        if decision.undoes is None:
            return
        undone = self._by_id.get(decision.undoes) or given.get(decision.undoes)
        if undone is None or undone is decision:
            raise SettingsError(f"there is no decision {decision.undoes} to undo")
        if undone.kind == "undo":
            raise SettingsError(f"{decision.undoes} undoes a decision; decide again instead of undoing that")
        if (undone.scope, undone.key) != (decision.scope, decision.key):
            raise SettingsError(f"decision {decision.undoes} is about another {undone.scope}; undo it there")
