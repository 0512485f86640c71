"""What an endpoint is to be sent next: the events after its cursor, each at least once, and again after a failure.

Without clock, thread or network, which belong to the sender.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from catalogs.events.endpoints import Endpoint, State
from catalogs.events.event import Event
from catalogs.events.queue import Batch, Queue

__all__ = ["Outbox", "Outcome", "Retries"]

_GONE = 410
_WINDOW = 1000
"""Events that wait in memory; also, how far deliveries run ahead of one that fails."""
_DOWN = 10
"""Failures in a row from which on an endpoint is down: it gets one event at a time, ever more seldom."""
_DEAD_LISTED = 100
_AT_ONCE = 0.0
"""When an event is due that was not tried yet."""


@dataclass(frozen=True)
class Outcome:
    """What came of sending an event.

    Attributes:
        status: HTTP status; 0 without an answer.
        error: what happened instead of an answer.
        retry_after: seconds that the receiver asks to wait.
    """

    status: int
    error: str = ""
    retry_after: float = 0.0

    @property
    def delivered(self) -> bool:
        """Whether the receiver has the event."""
        return 200 <= self.status < 300

    def __str__(self) -> str:
        return self.error or f"HTTP {self.status}"


@dataclass(frozen=True)
class Retries:
    """When to try again, and when to give up.

    Attributes:
        first: seconds after the first failure; doubled after each further one, half to one and a half times as long.
        longest: most seconds between two tries.
        least: tries that an event gets before it can be given up.
        dead_after: time since its first failure after which an event is given up, if others are delivered meanwhile.
        disable_after: time without any delivery after which an endpoint is disabled; no event is given up by that.
    """

    first: float = 1.0
    longest: float = 3600.0
    least: int = 10
    dead_after: timedelta = timedelta(days=3)
    disable_after: timedelta = timedelta(days=5)

    def pause(self, failures: int) -> float:
        """Return the seconds until the next try, after so many failures."""
        return min(self.longest, self.first * 2.0 ** min(failures - 1, 60)) * random.uniform(0.5, 1.5)


@dataclass
class _Open:
    """A batch of which not everything is delivered.

    Attributes:
        left: ids of its events that are not.
        done: ids of those that are.
        read: whether all of its events were taken.
    """

    batch: Batch
    left: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    read: bool = False


class Outbox:
    """The events that an endpoint is to be sent.

    Args:
        state: how far it is; changed with every outcome, for the caller to keep.
        retries: when to try again.

    Attributes:
        state: the same.
        changed: whether the state changed since the caller reset this.
    """

    def __init__(self, endpoint: Endpoint, state: State, queue: Queue, retries: Retries | None = None) -> None:
        self.endpoint, self.state = endpoint, state
        self.changed = False
        self._queue, self._retries = queue, retries or Retries()
        self._read = state.cursor  # everything up to there was taken from the queue
        self._batches: Iterator[Batch] | None = None
        self._reading: _Open | None = None
        self._open: dict[str, deque[_Open]] = {"rows": deque(), "decisions": deque(), "audit": deque()}
        self._events: list[tuple[float, int, Event]] = []
        self._where: dict[str, _Open] = {}
        self._number = itertools.count()
        self._fresh = 0  # events that were not tried yet
        self._failures = 0
        self._paused_until = 0.0

    @property
    def waiting(self) -> int:
        """Number of events that were read and not delivered."""
        return len(self._where)

    @property
    def unread(self) -> bool:
        """Whether the last look found more than was read."""
        return self._batches is not None

    def fill(self, ready: int = _WINDOW, *, look: bool = True) -> None:
        """Read until so many new events can be sent, as far as there is room.

        Args:
            ready: number of events that wait for their first try; reading them takes processor time.
            look: whether to look for what is new, if everything that was found is read.

        Raises:
            StoreError: the store cannot be read; the next call goes on.
        """
        if look and self._batches is None and self.waiting < _WINDOW and not self.state.disabled:
            self._batches = self._queue.after(self._read)
        try:
            while self._batches is not None and self.waiting < _WINDOW and self._fresh < ready:
                if self._reading is None and not self._next_batch():
                    break
                self._take()
        except BaseException:
            self._batches = None  # a generator that raised has ended
            self._drop_half_read()
            raise

    def due(self, now: float, most: int) -> list[Event]:
        """Return the events to send now, which each has to be `settle`d.

        Args:
            now: seconds on a clock that only grows.
            most: how many may be sent at once.
        """
        if self.state.disabled or now < self._paused_until:
            return []
        if self._failures >= _DOWN:
            most = 1 if self.waiting == len(self._events) else 0  # one at a time
        found: list[Event] = []
        while self._events and self._events[0][0] <= now and len(found) < most:
            due, _, event = heapq.heappop(self._events)
            self._fresh -= due == _AT_ONCE
            found.append(event)
        return found

    def next_due(self) -> float | None:
        """Return when the next event is due; None if none waits but those that are being sent."""
        if self.state.disabled or not self._events:
            return None
        return max(self._events[0][0], self._paused_until)

    def settle(self, event: Event, outcome: Outcome, now: float, at: datetime) -> None:
        """Record what came of sending an event.

        Args:
            now: seconds on the clock of `due`.
            at: the time, UTC.
        """
        state, self.changed = self.state, True
        if outcome.delivered:
            self._failures, self._paused_until = 0, 0.0
            state.sent += 1
            state.last_success_at, state.failing_since = at, None
            self._done(event)
            return
        self._failures += 1
        state.failing_since = state.failing_since or at
        state.last_error = f"{event.type} {event.id}: {outcome}"
        count, first = state.tries.get(event.id, (0, at))
        state.tries[event.id] = (count + 1, first)
        if outcome.status == _GONE:
            state.disabled = f"the receiver answered HTTP {_GONE}, that it is gone"
        elif self._is_dead(event.id, at):
            entry = {"id": event.id, "type": event.type, "at": event.at.isoformat(), "error": str(outcome)}
            state.dead = [*state.dead, entry][-_DEAD_LISTED:]
            state.dead_count += 1
            self._done(event)
            return
        elif at - state.failing_since >= self._retries.disable_after:
            state.disabled = f"nothing was delivered since {state.failing_since:%Y-%m-%d %H:%M} UTC: {outcome}"
        if event.id in self._where:  # else it is read again
            heapq.heappush(self._events, (now + self._retries.pause(count + 1), next(self._number), event))
        pause = self._retries.pause(self._failures - _DOWN + 1) if self._failures >= _DOWN else 0.0
        if pause or outcome.retry_after:
            self._paused_until = now + max(pause, min(outcome.retry_after, self._retries.longest))

    def _next_batch(self) -> bool:
        assert self._batches is not None
        batch = next(self._batches, None)
        if batch is None:
            self._batches = None
            return False
        self._reading = _Open(batch)
        self._open[batch.log].append(self._reading)
        return True

    def _take(self) -> None:
        """Take the next event of the batch that is being read."""
        assert self._reading is not None
        opened, event = self._reading, next(self._reading.batch.events, None)
        if event is None:
            opened.read, self._reading = True, None
            self._read = self._read.after(opened.batch)
            self._advance(opened.batch.log)
        elif event.id in self.state.ahead:
            opened.done.add(event.id)
        elif self.endpoint.wants(event.type) and event.id not in self._where:
            opened.left.add(event.id)
            self._where[event.id] = opened
            heapq.heappush(self._events, (_AT_ONCE, next(self._number), event))
            self._fresh += 1

    def _drop_half_read(self) -> None:
        """Forget a batch that could not be read to its end; it is read again."""
        if self._reading is not None:
            opened, self._reading = self._reading, None
            self._open[opened.batch.log].remove(opened)
            self._events = [entry for entry in self._events if entry[2].id not in opened.left]
            heapq.heapify(self._events)
            self._fresh = sum(due == _AT_ONCE for due, _, _ in self._events)
            for id in opened.left:
                del self._where[id]

    def _is_dead(self, id: str, at: datetime) -> bool:
        count, first = self.state.tries[id]
        success = self.state.last_success_at
        others_pass = success is not None and success > first
        return others_pass and count >= self._retries.least and at - first >= self._retries.dead_after

    def _done(self, event: Event) -> None:
        self.state.tries.pop(event.id, None)
        self.state.ahead.add(event.id)
        opened = self._where.pop(event.id, None)
        if opened is not None:  # of a batch that could not be read to its end otherwise
            opened.left.discard(event.id)
            opened.done.add(event.id)
            self._advance(opened.batch.log)

    def _advance(self, log: str) -> None:
        """Move the cursor over the batches of which everything is delivered."""
        batches = self._open[log]
        while batches and batches[0].read and not batches[0].left:
            opened = batches.popleft()
            self.state.cursor = self.state.cursor.after(opened.batch)
            self.state.ahead -= opened.done
            self.changed = True
