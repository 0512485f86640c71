"""The Ray transport, which runs the workers of a pool as Ray actors."""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import ray
from ray._private import state as ray_state
from ray.exceptions import RayError, RayTaskError, TaskCancelledError

from tasks.pool.call import CallOutcome
from tasks.pool.log_forwarding import forward_logs
from tasks.pool.messages import (
    Command,
    ItemDone,
    ItemFailed,
    KillWorker,
    NoWorkers,
    RecallItem,
    SendItem,
    StartFailed,
    StartWorker,
    WorkerDied,
    WorkerStarted,
)
from tasks.pool.ray_actor import delete_progress, fetch_progress, start_actor
from tasks.pool.ray_runtime import RayRuntime, is_connecting, session_logs
from tasks.pool.transport import Emit, Transport
from tasks.pool.work_item import Role, WorkItem
from troupe.errors import SettingsError, TroupeError, WorkerLost
from troupe.progress import Progress

__all__ = ["RayTransport"]

_CONNECT_TIMEOUT = 15.0
"""Seconds at most that `close` waits for this process to be connected to a Ray that it has started."""

_SUSPENDED_TIMEOUT = 30.0
"""Seconds after which a worker whose process is suspended is treated as dead."""

_SUSPENDED_ADVICE = (
    "Something suspends it again and again: a signal (SIGSTOP), or a child process of it that uses a terminal"
)

_RAY_ENDED = "Ray has died or was stopped on this machine (`ray stop`); resume the run with its --run-id"

_REASON_CHARACTERS = 300
"""Length of the part of Ray's cause of death that a message quotes."""

_ERROR_CHARACTERS = 2000
"""Length of the part of a pickling error that a message quotes."""

_log = logging.getLogger(__name__)

_ray: Any = ray
_state: Any = ray_state
"""For what Ray leaves untyped."""


@dataclass(slots=True)
class _Worker:
    """A worker that was started and not killed.

    Attributes:
        actor: Ray's handle.
        role: name of its role.
        process: its process, where that is on this machine and known.
        suspended: time at which its process was first found suspended; None while it runs.
        progress: what it reported last.
        items: names of the items that it was sent, by key; it runs the first ones.
    """

    actor: Any
    role: str
    process: psutil.Process | None = None
    suspended: float | None = None
    progress: tuple[Progress, ...] = ()
    items: dict[str, str] = field(default_factory=dict)


class RayTransport(Transport):
    """Runs workers as Ray actors.

    Args:
        emit: receives the events.
        roles: roles of all workers that may be started.
        address: address of the cluster to join; None starts a Ray on this machine.
        log_to_driver: whether the workers' output is printed here.
        folder: folder of the run, where a Ray of our own keeps its files; None is Ray's usual one.
    """

    def __init__(
        self, emit: Emit, roles: Sequence[Role], address: str | None, *, log_to_driver: bool, folder: Path | None
    ) -> None:
        self._roles = roles
        self._address = address
        self._gpus = sum(role.workers * role.gpus for role in roles)
        self._runtime = RayRuntime(
            address,
            cpus=sum(role.workers * role.cpus for role in roles),
            gpus=self._gpus > 0,
            folder=folder,
            log_to_driver=log_to_driver,
        )
        self._node: str | None = None
        self._workers: dict[int, _Worker] = {}
        # Ray ends a process that drops a result's reference while Ray is shut down. So references are kept until they
        # are dropped here, on the transport's own thread.
        self._pending: dict[tuple[int, str], Any] = {}
        self._arrived: deque[tuple[int, str]] = deque()
        super().__init__(emit)

    def open(self) -> None:
        self._runtime.start()
        self._runtime.watch(lambda: self.emit(NoWorkers(WorkerLost(_RAY_ENDED))))
        # `_check_resources` might start another Ray, if this one is shut down at this process's exit just now.
        if self._runtime.started and not self._closing:
            self._check_resources()

    def close(self, timeout: float) -> bool:
        opened = self._opened.is_set()
        closed = super().close(0.0 if self._runtime.dead else timeout)
        if not closed and not opened and is_connecting():
            # After `close`, the caller removes the folder with Ray's sockets, and Ray ends a process that finds none.
            # On a busy machine, being connected takes longer than the timeout.
            self._thread.join(_CONNECT_TIMEOUT)
            closed = not self._thread.is_alive()
        if not closed:
            self._runtime.abandon()
        return closed

    def execute(self, command: Command) -> None:
        self._drop_answers()
        match command:
            case StartWorker(worker=worker, role=role):
                self._start(worker, role)
            case SendItem(worker=worker, item=item):
                self._send(worker, item)
            case RecallItem(worker=worker, key=key):
                if ref := self._pending.get((worker, key)):
                    ray.cancel(ref)
            case KillWorker(worker=worker):
                if killed := self._workers.pop(worker, None):
                    self._kill(killed)

    def poll_progress(self) -> None:
        self._drop_answers()
        for number in {number for number, key in self._pending if key}:
            worker = self._workers.get(number)
            if worker:
                previous, worker.progress = worker.progress, fetch_progress(worker.actor)
                for progress in worker.progress:
                    if progress not in previous:
                        self.emit(progress)

    def check_health(self) -> None:
        # Without the node that this process is connected to, Ray neither starts an actor nor reports that it cannot.
        if self._node is None:
            self._node = ray.get_runtime_context().get_node_id()
        if not any(node["Alive"] for node in _ray.nodes() if node["NodeID"] == self._node):
            raise WorkerLost(_RAY_ENDED)
        for number, worker in list(self._workers.items()):
            self._check_process(number, worker)
        if self._address is not None:
            for role in self._roles:
                self._report_waiting(role)

    def shut_down(self) -> None:
        for worker in self._workers.values():
            self._kill(worker)
        self._workers.clear()
        self._runtime.stop()
        self._pending.clear()

    def _kill(self, worker: _Worker) -> None:
        ray.kill(worker.actor)
        if self._address is not None:
            delete_progress(worker.actor)

    def _drop_answers(self) -> None:
        while self._arrived:
            self._pending.pop(self._arrived.popleft(), None)

    def _start(self, number: int, role: Role) -> None:
        actor = start_actor(role, on_cluster=self._address is not None)
        self._workers[number] = _Worker(actor, role.name)
        try:
            ref = actor.construct.remote(role)
        except Exception as error:
            self.emit(StartFailed(number, _not_picklable(f"role {role.name!r}", error)))
            self.enqueue(KillWorker(number))
        else:
            self._pending[number, ""] = ref
            ref.future().add_done_callback(partial(self._on_constructed, number))

    def _send(self, number: int, item: WorkItem) -> None:
        worker = self._workers.get(number)
        if worker is None:
            return  # It died this moment; the scheduler is about to hear of it.
        try:
            ref = worker.actor.call.remote(item.method.__name__, item.args, item.name)
        except Exception as error:
            self.emit(ItemFailed(number, item.key, _not_picklable(item.name, error)))
        else:
            self._pending[number, item.key] = ref
            worker.items[item.key] = item.name
            ref.future().add_done_callback(partial(self._on_called, number, item.key))

    def _on_constructed(self, number: int, future: Future[CallOutcome]) -> None:
        outcome = self._outcome(number, "", future)
        if outcome and outcome.error:
            self.emit(StartFailed(number, outcome.error))
            self.enqueue(KillWorker(number))
        elif outcome:
            self.emit(WorkerStarted(number))

    def _on_called(self, number: int, key: str, future: Future[CallOutcome]) -> None:
        if worker := self._workers.get(number):
            worker.items.pop(key, None)
        outcome = self._outcome(number, key, future)
        if outcome and outcome.error:
            self.emit(ItemFailed(number, key, outcome.error))
        elif outcome:
            self.emit(ItemDone(number, key, outcome.result))

    def _outcome(self, number: int, key: str, future: Future[CallOutcome]) -> CallOutcome | None:
        """Return a call's outcome; None if it was recalled or the worker died. Runs on a thread of Ray's."""
        self._arrived.append((number, key))
        try:
            outcome = future.result()
        except TaskCancelledError as error:
            error.__traceback__ = None  # See below.
            return None  # It was recalled.
        except RayTaskError as error:
            error.__traceback__ = None
            # Raised around the call: something that cannot be pickled here, or imported in the worker's process.
            return CallOutcome(error=_not_picklable("a worker's arguments or its result", error))
        except RayError as error:
            # It leads to this call and so to the future, which has the error: a circle that kept the reference to the
            # result until the garbage collector came by, on any thread.
            error.__traceback__ = None
            reason, with_node = self._death_reason(error), "node has died" in str(error)
        else:
            forward_logs(outcome.lines)
            if not outcome.broken:
                return outcome
            reason, with_node = outcome.broken, False
        self.emit(WorkerDied(number, reason, with_node))
        self.enqueue(KillWorker(number))
        return None

    def _check_process(self, number: int, worker: _Worker) -> None:
        """Report a worker whose process is suspended: it neither answers nor dies."""
        try:
            if worker.process is None:
                worker.process = self._find_process(worker.actor)
            process = worker.process
            if process is None or process.status() != psutil.STATUS_STOPPED:
                worker.suspended = None
                return
            now = time.monotonic()
            if worker.suspended is None:
                worker.suspended = now
                item = next(iter(worker.items.values()), f"role {worker.role!r}")
                _log.warning("%s: its worker is suspended; `kill -CONT %d` resumes it", item, process.pid)
            elif now - worker.suspended >= _SUSPENDED_TIMEOUT:
                reason = f"process {process.pid} was suspended and not resumed within {_SUSPENDED_TIMEOUT:.0f} s"
                self.emit(WorkerDied(number, reason, advice=_SUSPENDED_ADVICE))
                self.enqueue(KillWorker(number))
                process.kill()  # it would not heed Ray
        except psutil.Error:
            return  # The process is gone, and Ray is about to report it.

    def _report_waiting(self, role: Role) -> None:
        """Emit what a role waits for of which no worker is ready: the cluster may have no room for any."""
        workers = {number: worker.actor for number, worker in self._workers.items() if worker.role == role.name}
        if workers and all((number, "") in self._pending for number in workers):
            needed = [(number, unit) for number, unit in ((role.cpus, "CPU"), (role.gpus, "GPU")) if number]
            free = " and ".join(f"{number:g} free {unit}{'s' * (number != 1)}" for number, unit in needed)
            placed = any(_actor_state(actor).get("Pid", True) for actor in workers.values())
            stage = "starting" if placed else f"waiting for a node with {free or 'room'} for"
            self.emit(Progress(role.name, stage, len(workers), 0, "worker" if len(workers) == 1 else "workers"))

    def _find_process(self, actor: Any) -> psutil.Process | None:
        """Return the process of an actor, where it is on this machine and known."""
        found = _actor_state(actor)
        if found.get("Pid") and found["Address"]["NodeID"] == self._node:
            return psutil.Process(found["Pid"])
        return None

    def _check_resources(self) -> None:
        """Check that Ray has what the roles need, rather than wait for it forever.

        Raises:
            SettingsError: a Ray of our own has too few GPUs.
        """
        if self._address is None:
            found = _ray.cluster_resources().get("GPU", 0.0)
            if self._gpus > found:
                raise SettingsError(
                    f"the workers need {self._gpus:g} GPUs, this machine has {found:g}. Use fewer workers, or the CPU"
                )
            return
        nodes = [node["Resources"] for node in _ray.nodes() if node["Alive"]]
        for role in self._roles:
            if not any(node.get("CPU", 0) >= role.cpus and node.get("GPU", 0) >= role.gpus for node in nodes):
                _log.warning(
                    "no node of the Ray cluster has %g CPUs and %g GPUs for role %r yet; waiting for one",
                    role.cpus,
                    role.gpus,
                    role.name,
                )

    def _death_reason(self, error: RayError) -> str:
        """Return Ray's cause of death without its advice, and where Python crashed, if that was logged."""
        text = str(error).strip()
        pid = re.search(r"^\tpid: (\d+)$", text, re.MULTILINE)
        process = f"process {pid[1]}: " if pid else ""
        detail = text.splitlines()[-1].split("Worker exit detail:")[-1].split(" Some common causes")[0].strip()
        crash = _logged_crash(session_logs(self._runtime.folder), pid[1]) if self._runtime.folder and pid else ""
        return f"{process}{detail}"[:_REASON_CHARACTERS] + crash


def _actor_state(actor: Any) -> dict[str, Any]:
    """Return what Ray knows of an actor; its `Pid` is 0 until a node has room for it. Empty if Ray does not tell."""
    with suppress(AttributeError, KeyError):  # It is not part of Ray's public interface.
        return dict(_state.actors(actor._actor_id.hex()))
    return {}


def _logged_crash(logs: Path, pid: str) -> str:
    """Return where Python crashed, as the process wrote to its log; empty if it did not."""
    for log in logs.glob(f"worker-*-{pid}.err"):
        with suppress(OSError):
            lines = log.read_text(errors="replace").splitlines()
            for number, line in enumerate(lines):
                if line.startswith("Fatal Python error"):
                    places = [place.strip() for place in lines[number:] if place.startswith("  File ")]
                    return f"; {line}" + (f" at {places[0]}" if places else "")
    return ""


def _not_picklable(what: str, error: Exception) -> TroupeError:
    text = str(error).strip()[-_ERROR_CHARACTERS:]
    return TroupeError(
        f"{what} could not be sent between processes. This is a bug in troupe; please report it with\n{text}"
    )
