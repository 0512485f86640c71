"""The in-process pool: the same scheduler, without other processes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
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
    """Executes one item at a time on a thread of this process, with one worker per role, constructed on first use.

    Python cannot kill a thread: a method that runs when the pool stops is abandoned and its result discarded. For the
    same reason items have no timeout here.

    Args:
        roles: roles of the workers; their names differ. `workers`, `cpus`, `gpus` and `threads` have no effect here.
        stop: when set, the pool stops.
        on_progress: receives the progress of the running item; some is lost.
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
        self._workers: dict[int, Any] = {}
        self._reporter = ProgressReporter(emit)
        # Filled while the thread is busy.
        self._killed: set[int] = set()
        super().__init__(emit)

    def enqueue(self, command: Command) -> None:
        if isinstance(command, KillWorker):
            self._killed.add(command.worker)
        super().enqueue(command)

    def open(self) -> None:
        """There is nothing to open."""

    def execute(self, command: Command) -> None:
        match command:
            case KillWorker(worker=worker):
                self._workers.pop(worker, None)
            case StartWorker(worker=worker, role=role) if worker not in self._killed:
                self._start(worker, role)
            case SendItem(worker=worker, item=item) if worker not in self._killed:
                self._call(worker, item)
            case RecallItem():
                pass  # Nothing is sent ahead here.

    def check_health(self) -> None:
        pass  # The workers are in this process.

    def poll_progress(self) -> None:
        pass  # It is emitted at once.

    def shut_down(self) -> None:
        self._workers.clear()

    def _start(self, worker: int, role: Role) -> None:
        try:
            outcome = construct_worker(role)
        except BaseException as error:
            self.emit(WorkerDied(worker, _exit_reason(error)))
            return
        if outcome.broken:
            self.emit(WorkerDied(worker, outcome.broken))
        elif outcome.error:
            self.emit(StartFailed(worker, outcome.error))
        else:
            self._workers[worker] = outcome.result
            self.emit(WorkerStarted(worker))

    def _call(self, worker: int, item: WorkItem) -> None:
        try:
            outcome = call_method(self._workers[worker], item.method.__name__, item.args, item.name, self._reporter)
        except BaseException as error:
            outcome = CallOutcome(broken=_exit_reason(error))
        if outcome.broken:
            del self._workers[worker]
            self.emit(WorkerDied(worker, outcome.broken))
        elif outcome.error:
            self.emit(ItemFailed(worker, item.key, outcome.error))
        else:
            self.emit(ItemDone(worker, item.key, outcome.result))


def _exit_reason(error: BaseException) -> str:
    """Describe what would have ended a separate process."""
    return f"it raised {type(error).__name__}: {error}"
