"""The in-process pool: the same scheduler, without other processes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

from tasks.pool.base import ThreadedPool
from tasks.pool.call import CallOutcome, call_method, construct_worker
from tasks.pool.messages import (
    Command,
    ItemDone,
    ItemFailed,
    KillWorker,
    RecallItem,
    SendItem,
    StartFailed,
    StartWorker,
    WorkerDied,
    WorkerStarted,
)
from tasks.pool.transport import Emit, Transport
from tasks.pool.work_item import Role, WorkItem
from troupe.progress import OnProgress, ProgressReporter

__all__ = ["LocalPool"]


class LocalPool(ThreadedPool):
    """Executes items on threads of this process, with one worker per role, constructed on first use.

    Python cannot kill a thread: a method that runs when the pool stops is abandoned and its result discarded. For the
    same reason items have no timeout here.

    Args:
        roles: roles of the workers; their names differ. `workers`, `cpus`, `gpus` and `threads` have no effect here.
        stop: when set, the pool stops.
        on_progress: receives the progress of the running items; some is lost.
    """

    def __init__(
        self, roles: Sequence[Role], stop: threading.Event | None = None, *, on_progress: OnProgress | None = None
    ) -> None:
        single = [replace(role, workers=1) for role in roles]
        super().__init__(single, _LocalTransport, ahead=0, stop=stop, on_progress=on_progress)

    def submit(self, item: WorkItem) -> Future[Any]:
        """See `Pool.submit`."""
        return super().submit(replace(item, timeout=None))


class _LocalTransport(Transport):
    def __init__(self, emit: Emit) -> None:
        self._workers: dict[int, _LocalWorker] = {}
        self._reporter = ProgressReporter(emit)
        super().__init__(emit)

    def open(self) -> None:
        """There is nothing to open."""

    def execute(self, command: Command) -> None:
        match command:
            case KillWorker(worker=number):
                if worker := self._workers.pop(number, None):
                    worker.end()
            case StartWorker(worker=number, role=role):
                self._workers[number] = _LocalWorker(number, role, self.emit, self._reporter)
            case SendItem(worker=number, item=item) if number in self._workers:
                self._workers[number].items.put(item)
            case RecallItem():
                pass  # Nothing is sent ahead here.

    def check_health(self) -> None:
        pass  # The workers are in this process.

    def poll_progress(self) -> None:
        pass  # It is emitted at once.

    def shut_down(self) -> None:
        for worker in self._workers.values():
            worker.end()
        for worker in self._workers.values():
            worker.join()
        self._workers.clear()


class _LocalWorker:
    """A worker and its threads, as many as it runs items at once.

    Attributes:
        items: items to run.
    """

    def __init__(self, number: int, role: Role, emit: Emit, reporter: ProgressReporter) -> None:
        self.items: SimpleQueue[WorkItem | None] = SimpleQueue()
        self._number, self._role, self._emit, self._reporter = number, role, emit, reporter
        self._worker: Any = None
        self._ended = False
        self._threads = [
            threading.Thread(target=run, name=f"{role.name} {number}", daemon=True)
            for run in (self._construct, *[self._run] * (role.concurrency - 1))
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Start no item any more."""
        self._ended = True
        for _ in self._threads:
            self.items.put(None)

    def join(self) -> None:
        """Wait for the running items."""
        for thread in self._threads:
            thread.join()

    def _construct(self) -> None:
        try:
            outcome = construct_worker(self._role)
        except BaseException as error:
            outcome = CallOutcome(broken=_exit_reason(error))
        if outcome.broken:
            self._die(outcome.broken)
        elif outcome.error:
            self._emit(StartFailed(self._number, outcome.error))
        else:
            self._worker = outcome.result
            self._emit(WorkerStarted(self._number))
            self._run()

    def _run(self) -> None:
        while (item := self.items.get()) is not None and not self._ended:
            try:
                outcome = call_method(self._worker, item.method.__name__, item.args, item.name, self._reporter)
            except BaseException as error:
                outcome = CallOutcome(broken=_exit_reason(error))
            if outcome.broken:
                self._die(outcome.broken)
            elif outcome.error:
                self._emit(ItemFailed(self._number, item.key, outcome.error))
            else:
                self._emit(ItemDone(self._number, item.key, outcome.result))

    def _die(self, reason: str) -> None:
        self._worker = None
        self._emit(WorkerDied(self._number, reason))
        self.end()


def _exit_reason(error: BaseException) -> str:
    """Describe what would have ended a separate process."""
    return f"it raised {type(error).__name__}: {error}"
