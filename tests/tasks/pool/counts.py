"""Count the commands and events of a scheduler."""

from __future__ import annotations

from tasks.pool.messages import (
    Command,
    Event,
    ItemDone,
    ItemFailed,
    KillWorker,
    ResolveItem,
    SendItem,
    StartWorker,
    WorkerDied,
)
from tasks.pool.scheduler import Scheduler


class Counts:
    """Wraps a scheduler's `handle` and `decide`.

    Attributes:
        calls: number of methods that were answered, with a result or an error.
        workers_started: number of workers whose start was commanded.
        workers_lost: number of them that died without being killed.
        retries: number of times that an item was sent again, whatever the reason.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self.calls = self.workers_started = self.workers_lost = self.retries = 0
        self._sent: set[str] = set()
        self._ended: set[int] = set()
        handle, decide = scheduler.handle, scheduler.decide

        def counted_handle(event: Event, now: float) -> None:
            self._count_event(event)
            handle(event, now)

        def counted_decide(now: float) -> list[Command | ResolveItem]:
            commands = decide(now)
            for command in commands:
                self._count_command(command)
            return commands

        scheduler.handle, scheduler.decide = counted_handle, counted_decide  # type: ignore[method-assign]

    def _count_event(self, event: Event) -> None:
        match event:
            case ItemDone(worker=worker) | ItemFailed(worker=worker):
                self.calls += worker not in self._ended
            case WorkerDied(worker=worker):
                self.workers_lost += worker not in self._ended
                self._ended.add(worker)
            case _:
                pass

    def _count_command(self, command: Command | ResolveItem) -> None:
        match command:
            case StartWorker():
                self.workers_started += 1
            case SendItem(item=item):
                self.retries += item.key in self._sent
                self._sent.add(item.key)
            case KillWorker(worker=worker):
                self._ended.add(worker)
            case _:
                pass
