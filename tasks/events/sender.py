"""Sends what happens in a store to its webhooks, on one thread beside a run."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp

from catalogs.events import (
    Endpoint,
    Event,
    Outbox,
    Outcome,
    Queue,
    Retries,
    Signer,
    list_endpoints,
    load_signer,
    read_state,
    record_crashes,
    trial_event,
    write_state,
)
from catalogs.store.store import Store
from tasks.events.post import open_session, post_event
from troupe.errors import StoreError, TroupeError

__all__ = ["Sender", "deliver_events", "send_test", "sending_events"]

SHARE = 0.005
"""Of one processor that sending takes at most while a run is live."""
FINISH_SECONDS = 10.0
"""Within which a command sends what is left at its end."""
_BURST = 0.015
"""Processor seconds that may be used at once after a time without events."""
_POLL_SECONDS, _SAVE_SECONDS, _SAVE_SECONDS_BESIDE = 2.0, 1.0, 5.0
"""Between two looks for what is new, and between two records of what was delivered, also beside a run."""
_CRASHES_SECONDS = 60.0
"""Between two looks for runs whose heartbeat has stopped."""
_AT_ONCE, _AT_ONCE_BESIDE = 16, 4
"""Requests to an endpoint at the same time, and beside a run."""
_READY, _READY_BESIDE = 256, 8
"""Events that are read ahead, and beside a run."""
_PATIENCE, _PATIENCE_BESIDE = 60.0, 2.0
"""Seconds until the next try from which on an event is left for later, and at the end of a run."""
_JOIN_SECONDS = 2.0

_log = logging.getLogger(__name__)


@dataclass
class _Lane:
    """The way to one endpoint."""

    endpoint: Endpoint
    outbox: Outbox
    signer: Signer
    session: aiohttp.ClientSession | None = None
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Sender:
    """Sends the events of a store to endpoints, until it is closed. Two senders of a store may send an event twice.

    Args:
        endpoints: the endpoints.
        share: share of one processor to use at most until `finish`; None for no limit.
        retries: when to try again.

    Raises:
        SettingsError: the secret of an endpoint cannot be read, or the store has no queue.
        StoreError: the store cannot be read.
    """

    def __init__(
        self,
        store: Store,
        endpoints: Iterable[Endpoint],
        *,
        share: float | None = None,
        retries: Retries | None = None,
    ) -> None:
        self._store = store
        queue = Queue(store)
        self._lanes = [
            _Lane(each, Outbox(each, read_state(store, each.name), queue, retries), load_signer(each.secret_file))
            for each in endpoints
        ]
        self._share: float | None = share
        self._patience = _PATIENCE if share is None else _PATIENCE_BESIDE
        self._closing, self._finishing, self._finished = threading.Event(), threading.Event(), threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None
        self._saved_at, self._crashes_at = 0.0, float("-inf")
        self._trouble = ""
        # A daemon: a store that does not answer must not keep the process.
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    def start(self) -> None:
        """Start sending."""
        self._thread.start()

    def finish(self, seconds: float | None, stopped: Callable[[], bool] = lambda: False) -> None:
        """Send without limit, until nothing is left to send now.

        Args:
            seconds: the most that this may take.
            stopped: whether to return at once.
        """
        end = None if seconds is None else time.monotonic() + seconds
        self._finishing.set()
        self._notify()
        while self._thread.is_alive() and not stopped() and (end is None or time.monotonic() < end):
            if self._finished.wait(0.1):
                break

    def close(self) -> None:
        """Stop sending at once; what was not delivered is sent by the next sender."""
        self._closing.set()
        self._notify()
        self._thread.join(_JOIN_SECONDS)

    def left(self) -> list[str]:
        """Return a line for each endpoint that did not get everything."""
        lines = []
        for lane in self._lanes:
            state = lane.outbox.state
            if state.disabled:
                see = f"see {self._store.command('events ls')}"
                lines.append(f"webhook {lane.endpoint.name} is disabled: {state.disabled}; {see}")
            elif lane.outbox.waiting:
                waiting = lane.outbox.waiting
                waits = "1 event waits" if waiting == 1 else f"{waiting} events wait"
                why = f" ({state.last_error})" if state.failing_since and state.last_error else ""
                lines.append(
                    f"webhook {lane.endpoint.name}: {waits}{why}, to be sent with the "
                    f"next run, or by {self._store.command('events deliver')}"
                )
        return [*lines, *([f"webhooks: {self._trouble}"] if self._trouble else [])]

    def _notify(self) -> None:
        loop, wake = self._loop, self._wake
        if loop is not None and wake is not None and not loop.is_closed():
            loop.call_soon_threadsafe(wake.set)

    def _run(self) -> None:
        try:
            asyncio.run(self._send_all())
        except Exception:  # a run does not fail because of its webhooks
            _log.exception(
                "sending events ended with an error; %s sends the rest", self._store.command("events deliver")
            )
        finally:
            self._finished.set()

    async def _send_all(self) -> None:
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            for lane in self._lanes:
                lane.session = await stack.enter_async_context(await open_session(lane.endpoint))
            await self._send_until_closed()
            running = [task for lane in self._lanes for task in lane.tasks]
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        self._save()

    async def _send_until_closed(self) -> None:
        credit, polled_at = _BURST, -_POLL_SECONDS
        wall, used = time.monotonic(), time.thread_time()
        while not self._closing.is_set():
            finishing = self._finishing.is_set() and not self._finished.is_set()
            now = time.monotonic()
            look = now - polled_at >= _POLL_SECONDS or (finishing and not any(lane.tasks for lane in self._lanes))
            if look or any(lane.outbox.unread for lane in self._lanes):
                polled_at, complete = now if look else polled_at, self._fill(look)
                if finishing and look and complete and all(map(self._is_done, self._lanes)):
                    self._save()
                    self._finished.set()  # what happens later is sent at the next look
            self._start_due(_AT_ONCE if self._share is None or self._finishing.is_set() else _AT_ONCE_BESIDE)
            if now - self._saved_at >= (_SAVE_SECONDS if self._share is None else _SAVE_SECONDS_BESIDE):
                self._save()
            await self._wait(min(_POLL_SECONDS, 0.2 if finishing else _POLL_SECONDS))
            wall, elapsed = time.monotonic(), time.monotonic() - wall
            used, taken = time.thread_time(), time.thread_time() - used
            if self._share is not None and not self._finishing.is_set():
                credit = min(_BURST, credit + self._share * elapsed - taken)
                if credit < 0:
                    await self._sleep(-credit / self._share)

    def _fill(self, look: bool) -> bool:
        """Read what is new; return whether that worked."""
        beside = self._share is not None and not self._finishing.is_set()
        if look:
            self._notice_crashes()
        try:
            for lane in self._lanes:
                lane.outbox.fill(_READY_BESIDE if beside else _READY, look=look)
        except StoreError as error:
            self._warn(f"cannot read events: {error.message}")
            return False
        self._trouble = ""
        return True

    def _notice_crashes(self) -> None:
        if time.monotonic() - self._crashes_at < _CRASHES_SECONDS:
            return
        self._crashes_at = time.monotonic()
        try:
            record_crashes(self._store)
        except StoreError as error:  # a damaged record of a run does not keep other events
            _log.warning("cannot look for runs that crashed: %s", error.message)

    def _save(self) -> None:
        self._saved_at = time.monotonic()
        for lane in self._lanes:
            if lane.outbox.changed:
                try:
                    write_state(self._store, lane.endpoint.name, lane.outbox.state)
                    lane.outbox.changed = False
                except StoreError as error:
                    self._warn(f"cannot record what was delivered, and it may be sent again: {error.message}")

    def _warn(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            _log.warning("%s", trouble)

    def _is_done(self, lane: _Lane) -> bool:
        """Return whether there is nothing to send for a while."""
        due = lane.outbox.next_due()
        return not lane.tasks and (due is None or due > time.monotonic() + self._patience)

    def _start_due(self, most: int) -> None:
        for lane in self._lanes:
            for event in lane.outbox.due(time.monotonic(), most - len(lane.tasks)):
                task = asyncio.ensure_future(self._send(lane, event))
                lane.tasks.add(task)
                task.add_done_callback(lane.tasks.discard)

    async def _send(self, lane: _Lane, event: Event) -> None:
        assert lane.session is not None
        outcome = await post_event(lane.session, lane.endpoint, lane.signer, event)
        before = lane.outbox.state.disabled, lane.outbox.state.dead_count
        lane.outbox.settle(event, outcome, time.monotonic(), datetime.now(UTC))
        state = lane.outbox.state
        if state.disabled and not before[0]:
            _log.warning("webhook %s is disabled: %s", lane.endpoint.name, state.disabled)
        if state.dead_count > before[1]:
            _log.warning("webhook %s: gave up %s %s: %s", lane.endpoint.name, event.type, event.id, outcome)

    async def _wait(self, most: float) -> None:
        """Wait until a request ends, an event is due, or `finish` or `close` is called."""
        assert self._wake is not None
        tasks = [task for lane in self._lanes for task in lane.tasks]
        due = [at for lane in self._lanes if not lane.tasks and (at := lane.outbox.next_due()) is not None]
        seconds = max(0.0, min([most, *(at - time.monotonic() for at in due)]))
        if not tasks:
            await self._sleep(seconds)
            return
        wake = asyncio.ensure_future(self._wake.wait())
        await asyncio.wait([*tasks, wake], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        wake.cancel()
        self._wake.clear()

    async def _sleep(self, seconds: float) -> None:
        assert self._wake is not None
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return
        self._wake.clear()


@contextmanager
def sending_events(
    store: Store, note: Callable[[str], None] = lambda _: None, stopped: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Send events beside the `with` block, and what is left in a few seconds after it.

    Errors are noted: a run does not fail because of its webhooks, and what is not sent stays in the queue.

    Args:
        note: receives a line about what is left.
        stopped: whether the user wants the command to end at once.
    """
    sender = _opened(store, note)
    if sender is None:
        yield
        return
    sender.start()
    try:
        yield
    finally:
        sender.finish(FINISH_SECONDS, stopped)
        sender.close()
        for line in sender.left():
            note(line)


def deliver_events(
    store: Store, endpoints: Sequence[Endpoint], stopped: Callable[[], bool], *, watch: bool = False
) -> list[str]:
    """Send what endpoints did not get, and return a line for each that still did not get everything.

    Args:
        stopped: whether to end.
        watch: whether to go on with what happens later, until `stopped`.

    Raises:
        SettingsError, StoreError: as `Sender`.
    """
    sender = Sender(store, endpoints)
    sender.start()
    try:
        sender.finish(None, stopped)
        while watch and not stopped():
            time.sleep(0.2)
    finally:
        sender.close()
    return sender.left()


def send_test(store: Store, endpoint: Endpoint) -> Outcome:
    """Send a test event to an endpoint, once.

    Raises:
        SettingsError: its secret cannot be read.
    """
    signer = load_signer(endpoint.secret_file)

    async def send() -> Outcome:
        async with await open_session(endpoint) as session:
            return await post_event(session, endpoint, signer, trial_event(store))

    return asyncio.run(send())


def _opened(store: Store, note: Callable[[str], None]) -> Sender | None:
    """Return a sender; None if the store has no endpoints, or they cannot be read."""
    try:
        endpoints = list_endpoints(store)
        return Sender(store, endpoints, share=SHARE) if endpoints else None
    except TroupeError as error:
        note(f"no events are sent: {error.message}")
        return None
