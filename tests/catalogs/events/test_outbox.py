"""What is sent next, on a simulated clock."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from catalogs.events import Endpoint, Event, Outbox, Outcome, Retries, State
from catalogs.events.queue import Batch, Cursor
from troupe.errors import StoreError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OK, BROKEN = Outcome(204), Outcome(500)


class Log:
    """A queue of commits with some events each."""

    def __init__(self, *sizes: int) -> None:
        self.commits = [[event(f"{n}.{k}") for k in range(size)] for n, size in enumerate(sizes)]
        self.fails_at: str | None = None

    def after(self, cursor: Cursor) -> Iterator[Batch]:
        """Yield the commits after the cursor."""
        for number in range(cursor.rows + 1, len(self.commits)):
            yield Batch("rows", number, NOON, self._events(number))

    def _events(self, number: int) -> Iterator[Event]:
        for each in self.commits[number]:
            if each.id == self.fails_at:
                raise StoreError("the store is gone")
            yield each


def event(id: str, type: str = "job.done") -> Event:
    """An event of that id."""
    return Event(id, type, NOON, {})


def outbox(log: Log, state: State | None = None, types: tuple[str, ...] = ("job",), **retries: float) -> Outbox:
    """An outbox that tries again after a second."""
    endpoint = Endpoint("hook", "https://host/", types)
    made = Outbox(endpoint, state or State(), log, replace(Retries(), **retries))  # type: ignore[arg-type]
    made.fill()
    return made


@pytest.mark.parametrize("seed", range(5))
def test_every_event_is_delivered_however_often_senders_are_killed(seed: int) -> None:
    random, log = Random(seed), Log(3, 0, 40, 1, 25)
    saved, got, now = State(), list[str](), 0.0
    for life in range(40):
        box = outbox(log, deepcopy(saved), first=0.1)
        for _ in range(10**6 if life == 39 else random.randrange(1, 20)):
            now += 1.0
            box.fill()
            for each in box.due(now, 4):
                delivered = random.random() < 0.5
                if delivered:
                    got.append(each.id)
                box.settle(each, OK if delivered else BROKEN, now, NOON + timedelta(seconds=now))
            if random.random() < 0.3:
                saved = deepcopy(box.state)
            if not box.waiting:
                break
    assert set(got) == {each.id for commit in log.commits for each in commit}
    assert box.state.cursor.rows == 4
    assert not box.state.ahead
    assert not box.state.tries


def test_the_cursor_passes_only_what_is_delivered() -> None:
    box = outbox(Log(2, 1, 1))
    first, *others = box.due(0.0, 10)
    box.settle(first, BROKEN, 0.0, NOON)
    for each in others:
        box.settle(each, OK, 0.0, NOON)
    assert (box.state.cursor.rows, box.state.ahead) == (-1, {"0.1", "1.0", "2.0"})
    again = outbox(Log(2, 1, 1), deepcopy(box.state))
    assert [each.id for each in again.due(0.0, 10)] == ["0.0"]
    again.settle(first, OK, 1.0, NOON)
    assert (again.state.cursor.rows, again.state.ahead, again.state.tries) == (2, set(), {})


def test_other_types_are_passed_over() -> None:
    log = Log(0, 0)
    log.commits = [[event("a"), event("b", "job.failed")], [event("c")]]
    box = outbox(log, types=("job.failed", "run"))
    assert [each.id for each in box.due(0.0, 10)] == ["b"]
    box.settle(event("b"), OK, 0.0, NOON)
    assert box.state.cursor.rows == 1


def test_pauses_grow_up_to_an_hour() -> None:
    retries = Retries()
    assert 0.5 <= retries.pause(1) <= 1.5
    assert 4 <= retries.pause(4) <= 12
    assert retries.pause(10_000) <= 1.5 * 3600


def test_an_endpoint_that_is_down_gets_one_event_at_a_time() -> None:
    box = outbox(Log(100), first=0.0)
    for each in box.due(0.0, 16):
        box.settle(each, BROKEN, 0.0, NOON)
    assert len(box.due(1.0, 16)) == 1
    assert box.due(1.0, 16) == [], "while that one is sent"


def test_the_receiver_says_when_to_come_back() -> None:
    box = outbox(Log(2), first=0.0)
    first, second = box.due(0.0, 2)
    box.settle(first, Outcome(429, retry_after=30.0), 0.0, NOON)
    assert box.due(29.0, 2) == []
    assert box.next_due() == 30.0
    box.settle(second, OK, 5.0, NOON)
    assert box.due(5.0, 2) == [first], "it accepts events again"


def test_one_event_that_is_refused_is_given_up_after_days_and_told() -> None:
    log, at, now = Log(1, 200), NOON, 0.0
    box = outbox(log)
    while box.waiting:
        at, now = at + timedelta(hours=6), now + 6 * 3600
        for each in box.due(now, 16):
            box.settle(each, OK if each.id != "0.0" else BROKEN, now, at)
    assert [(entry["id"], entry["error"]) for entry in box.state.dead] == [("0.0", "HTTP 500")]
    assert (box.state.dead_count, box.state.sent, box.state.cursor.rows) == (1, 200, 1)
    assert at - NOON >= timedelta(days=3)


def test_without_any_delivery_for_days_the_endpoint_is_disabled_and_nothing_given_up() -> None:
    log, at, now = Log(3), NOON, 0.0
    box = outbox(log)
    while not box.state.disabled:
        at, now = at + timedelta(hours=6), now + 6 * 3600
        for each in box.due(now, 16):
            box.settle(each, Outcome(0, "no answer"), now, at)
    assert box.state.disabled.endswith("no answer")
    assert timedelta(days=5) <= at - NOON <= timedelta(days=6)
    assert (box.state.cursor.rows, box.state.dead_count, box.due(now * 2, 1)) == (-1, 0, [])
    state = deepcopy(box.state)
    state.disabled = ""
    assert len(outbox(log, state).due(0.0, 10)) == 3


def test_gone_disables_at_once() -> None:
    box = outbox(Log(2))
    box.settle(box.due(0.0, 1)[0], Outcome(410), 0.0, NOON)
    assert "410" in box.state.disabled
    assert box.due(10.0, 1) == []
    assert box.next_due() is None


def test_a_commit_that_cannot_be_read_to_its_end_is_read_again() -> None:
    log = Log(1, 3)
    log.fails_at = "1.2"
    with pytest.raises(StoreError):
        outbox(log)
    log.fails_at = None
    box = outbox(log)
    log.fails_at = "1.2"
    box = Outbox(Endpoint("hook", "https://host/", ("job",)), State(), log)  # type: ignore[arg-type]
    with pytest.raises(StoreError):
        box.fill()
    assert [each.id for each in box.due(0.0, 10)] == ["0.0"]
    log.fails_at = None
    box.fill()
    assert [each.id for each in box.due(0.0, 10)] == ["1.0", "1.1", "1.2"]


def test_memory_is_bounded() -> None:
    box = outbox(Log(1200))
    assert box.waiting == 1000


def test_events_are_read_as_they_are_sent_also_past_some_that_fail() -> None:
    box = Outbox(Endpoint("hook", "https://host/", ("job",)), State(), Log(20))  # type: ignore[arg-type]
    box.fill(4, look=False)
    assert not box.waiting
    for _ in range(4):
        box.fill(4)
        for each in box.due(0.0, 4):
            box.settle(each, BROKEN if each.id in ("0.1", "0.2", "0.3", "0.5") else OK, 0.0, NOON)
    assert (box.waiting, box.unread) == (4, True)
    assert box.state.sent == 12
