"""The in-process twin: the same pool without other processes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from tasks.pool.base import ThreadedPool
from tasks.pool.call import Answer, call, construct
from tasks.pool.messages import Command, Done, Failed, Kill, Lost, Recall, Refused, Send, Start, Up
from tasks.pool.transport import Post, Transport
from tasks.pool.work_item import Role, WorkItem

__all__ = ["LocalPool"]


class LocalPool(ThreadedPool):
    """Does one work at a time, on a thread of this process, with one worker a role, made when first needed.

    Python cannot end a thread: a method that runs when the pool stops is left behind, and what it returns is
    thrown away. For the same reason works have no timeout here.

    Args:
        roles: whose workers there can be; their names differ. `workers`, `cpus`, `gpus` and `threads` mean
            nothing here: this process has what it has.
        stop: when set, the pool stops.
    """

    def __init__(self, roles: Sequence[Role], stop: threading.Event | None = None) -> None:
        super().__init__([replace(role, workers=1) for role in roles], _Local, ahead=0, stop=stop)

    def submit(self, work: WorkItem) -> Future[Any]:
        """See `Pool.submit`."""
        return super().submit(replace(work, timeout=None))


class _Local(Transport):
    def __init__(self, post: Post) -> None:
        self._workers: dict[int, Any] = {}
        # Filled while the thread is busy.
        self._gone: set[int] = set()
        super().__init__(post)

    def do(self, order: Command) -> None:
        if isinstance(order, Kill):
            self._gone.add(order.worker)
        super().do(order)

    def open(self) -> None:
        """There is nothing to get ready."""

    def carry_out(self, order: Command) -> None:
        match order:
            case Kill(worker=worker):
                self._workers.pop(worker, None)
            case Start(worker=worker, role=role) if worker not in self._gone:
                self._start(worker, role)
            case Send(worker=worker) if worker not in self._gone:
                self._send(order)
            case Recall():
                pass  # Nothing is sent ahead here.

    def look(self) -> None:
        pass  # It is this very process.

    def release(self) -> None:
        self._workers.clear()

    def _start(self, worker: int, role: Role) -> None:
        try:
            answer = construct(role)
        except BaseException as error:
            self.post(Lost(worker, _exit(error)))
            return
        if answer.broken:
            self.post(Lost(worker, answer.broken))
        elif answer.error:
            self.post(Refused(worker, answer.error))
        else:
            self._workers[worker] = answer.result
            self.post(Up(worker))

    def _send(self, order: Send) -> None:
        work = order.work
        try:
            answer = call(self._workers[order.worker], work.method.__name__, work.args, work.key)
        except BaseException as error:
            answer = Answer(broken=_exit(error))
        if answer.broken:
            del self._workers[order.worker]
            self.post(Lost(order.worker, answer.broken))
        elif answer.error:
            self.post(Failed(order.worker, work.key, answer.error))
        else:
            self.post(Done(order.worker, work.key, answer.result))


def _exit(error: BaseException) -> str:
    """What would have ended a process of its own."""
    return f"it raised {type(error).__name__}: {error}"
