"""Ray actors, started and called. Nothing else in troupe starts any."""

from __future__ import annotations

import atexit
import ctypes
import logging
import math
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import ray
from ray._private import services
from ray._private import state as ray_state
from ray._private import worker as connection
from ray.exceptions import RayError, RayTaskError, TaskCancelledError

from tasks.pool.call import Answer, call, construct
from tasks.pool.log_forwarding import echo, listened
from tasks.pool.messages import Command, Done, Failed, Kill, Lost, Recall, Refused, Send, Start, Up
from tasks.pool.transport import Post, Transport
from tasks.pool.work_item import Role, WorkItem
from troupe.errors import SettingsError, TroupeError, WorkerLost
from troupe.log_context import current_context, set_run_id
from troupe.terminal import close_stdin

__all__ = ["RayTransport", "nodes", "sessions_of_their_own"]

_OBJECT_STORE = 100 * 2**20
"""Bytes; only URIs, keys and errors go through it."""

_LONGEST_FOLDER = 43
"""Characters: a socket's path may have 107, and Ray adds up to 64."""

_RUN = "TROUPE_RUN"
"""Tells workers for which run they work."""

_SIGACTION = 256
"""Bytes; the C library's structure is smaller."""

_CONNECTING = 15.0
"""Seconds at most to wait for this process to be connected to a Ray that it has started."""

_STOPPED = 30.0
"""Seconds after which a worker whose process is stopped is taken for dead."""

_STOPPED_ADVICE = (
    "Something stops it again and again: a signal (SIGSTOP), or a child process of it that uses a terminal"
)

_TEMPORARY = "r"

_REASON = 300
"""Characters of what Ray says of a death that a message quotes."""

_TAIL = 2000
"""Characters of a traceback that a message quotes."""

_log = logging.getLogger(__name__)

_ray: Any = ray
_state: Any = ray_state
"""For what Ray leaves untyped."""


def nodes(address: str) -> list[tuple[float, float]]:
    """CPUs and GPUs of every machine of a cluster.

    Raises:
        TroupeError: it cannot be reached.
    """
    joined = not ray.is_initialized()
    if joined:
        try:
            ray.init(address, namespace="troupe", log_to_driver=False, logging_level=logging.ERROR)
        except (RayError, OSError, RuntimeError, ValueError) as error:
            raise TroupeError(f"Ray could not be joined at {address}: {error}") from error
    try:
        alive = [node["Resources"] for node in _ray.nodes() if node["Alive"]]
        return [(float(node.get("CPU", 0)), float(node.get("GPU", 0))) for node in alive]
    finally:
        if joined:
            ray.shutdown()


class _Actor:
    """The process around one worker."""

    def __init__(self, name: str) -> None:
        close_stdin()  # before its role is unpickled, which imports libraries
        self._name = name
        self._worker: Any = None

    def construct(self, role: Role) -> Answer:
        """Make the worker: in a call and not in the constructor, so that its error comes back as it is."""
        with suppress(KeyError):
            set_run_id(os.environ[_RUN])
        answer = construct(role)
        self._worker = answer.result
        return _portable(Answer(error=answer.error, broken=answer.broken))

    def call(self, method: str, args: tuple[Any, ...], where: str) -> Answer:
        """Call the worker's method."""
        with listened() as lines:
            answer = call(self._worker, method, args, where)
        return replace(_portable(answer), lines=tuple(lines))

    def __repr__(self) -> str:
        return self._name


def _portable(answer: Answer) -> Answer:
    """The answer, with an error that survives the journey between processes."""
    try:
        pickle.loads(pickle.dumps(answer.error))
    except Exception:
        return Answer(error=TroupeError(f"{type(answer.error).__name__}: {answer.error}"))
    return answer


class RayTransport(Transport):
    """Has Ray actors do the work.

    Args:
        post: where the answers go.
        roles: all whose workers may be asked for.
        address: of the cluster to join; None starts a Ray on this machine.
        log_to_driver: whether the workers' output is printed here.
        folder: of the run, where a Ray of its own keeps what it writes; None is Ray's usual one.
    """

    def __init__(
        self, post: Post, roles: Sequence[Role], address: str | None, *, log_to_driver: bool, folder: Path | None
    ) -> None:
        # Ray's sockets lie below it, and the path of a socket is short.
        self._folder = folder if folder and len(str(folder / _TEMPORARY)) <= _LONGEST_FOLDER else None
        self._roles = roles
        self._address = address
        self._log_to_driver = log_to_driver
        self._ours = False
        self._node: str | None = None
        self._actors: dict[int, Any] = {}
        # Ray ends a process that drops the reference to an answer while Ray is shut down. So they are kept until they
        # are dropped here, on the transport's own thread.
        self._awaited: dict[tuple[int, str], Any] = {}
        self._arrived: deque[tuple[int, str]] = deque()
        self._role_names: dict[int, str] = {}
        self._processes: dict[int, psutil.Process] = {}
        self._stopped: dict[int, float] = {}
        super().__init__(post)

    def open(self) -> None:
        if ray.is_initialized():
            return
        self._ours = True
        self._at_exit = partial(_end_half_started, self._folder)
        atexit.register(self._at_exit)
        logging.getLogger("ray").setLevel(logging.ERROR)
        start: dict[str, Any] = {"address": self._address}
        if self._address is None:
            # Roles are sized to the machine by those who made them: Ray must not leave one of them waiting.
            asked = math.ceil(sum(role.workers * role.cpus for role in self._roles))
            start = {
                # "local" and not None, which joins any Ray that happens to run on this machine.
                "address": "local",
                "num_cpus": max(os.cpu_count() or 1, asked),
                "num_gpus": None if self._gpus() else 0,
                **({"_temp_dir": str(self._folder / _TEMPORARY)} if self._folder else {}),
                # Nobody else has business with it.
                "_node_ip_address": "127.0.0.1",
                "include_dashboard": False,
                "object_store_memory": _OBJECT_STORE,
                "_system_config": {
                    # Actors have processes of their own; idle ones would only take memory.
                    "prestart_worker_first_driver": False,
                    # A killed worker takes its ffmpeg with it.
                    "process_group_cleanup_enabled": True,
                    # Ray's own 15 leaves them next to nothing beside anything else that runs here.
                    "worker_niceness": 0,
                },
            }
        try:
            with sessions_of_their_own(), _sigterm_as_it_was():
                ray.init(namespace="troupe", log_to_driver=self._log_to_driver, logging_level=logging.ERROR, **start)
        except (RayError, OSError, RuntimeError, ValueError) as error:
            where = f"joined at {self._address}" if self._address else "started on this machine"
            raise TroupeError(f"Ray could not be {where}: {error}") from error
        if self._leaving:
            return  # What follows might start another Ray, if this one is shut down at this process's exit just now.
        if self._address is None:
            _end_autoscaler()
        self._check_gpus()

    @property
    def ready(self) -> bool:
        return super().ready or _connecting()

    def close(self, timeout: float) -> bool:
        closed = super().close(timeout)
        if not closed and not self._opened.is_set() and _connecting():
            # Whoever is told that it is closed removes the folder with Ray's sockets, and Ray ends a process that
            # finds none. On a busy machine, being connected takes longer than there is patience.
            closed = super().close(_CONNECTING)
        if self._ours and not closed:
            # Again, to come before Ray, which would ask its processes to end and wait for them.
            atexit.unregister(self._at_exit)
            atexit.register(self._at_exit)
        return closed

    def carry_out(self, order: Command) -> None:
        while self._arrived:
            self._awaited.pop(self._arrived.popleft(), None)
        match order:
            case Start(worker=worker, role=role):
                self._start(worker, role)
            case Send(worker=worker, work=work):
                self._send(worker, work)
            case Recall(worker=worker, key=key):
                if answer := self._awaited.get((worker, key)):
                    ray.cancel(answer)
            case Kill(worker=worker):
                for known in (self._role_names, self._processes, self._stopped):
                    known.pop(worker, None)
                if actor := self._actors.pop(worker, None):
                    ray.kill(actor)

    def look(self) -> None:
        # Without the node that this process is connected to, Ray neither starts an actor nor says that it cannot.
        if self._node is None:
            self._node = ray.get_runtime_context().get_node_id()
        if not any(node["Alive"] for node in _ray.nodes() if node["NodeID"] == self._node):
            raise WorkerLost("Ray has died on this machine; the same run goes on with its --run-id")
        for worker in list(self._actors):
            self._look_at_process(worker)

    def _look_at_process(self, worker: int) -> None:
        """Notice a worker whose process was stopped: it neither answers nor dies."""
        try:
            process = self._process(worker)
            if process is None or process.status() != psutil.STATUS_STOPPED:
                self._stopped.pop(worker, None)
                return
            now, pid = time.monotonic(), process.pid
            if worker not in self._stopped:
                self._stopped[worker] = now
                role = self._role_names[worker]
                _log.warning("a worker of role %r is stopped; `kill -CONT %d` resumes it", role, pid)
            elif now - self._stopped[worker] >= _STOPPED:
                reason = f"process {pid} was stopped, and not resumed within {_STOPPED:.0f} s"
                self.post(Lost(worker, reason, advice=_STOPPED_ADVICE))
                self.do(Kill(worker))
                process.kill()  # it would not heed Ray
        except psutil.Error:
            return  # It is gone, and Ray is about to say so.

    def _process(self, worker: int) -> psutil.Process | None:
        """The process of a worker, where it is on this machine and known."""
        if worker not in self._processes:
            with suppress(AttributeError, KeyError):  # It is not Ray's public interface.
                found = _state.actors(self._actors[worker]._actor_id.hex())
                if found["Pid"] and found["Address"]["NodeID"] == self._node:
                    self._processes[worker] = psutil.Process(found["Pid"])
        return self._processes.get(worker)

    def release(self) -> None:
        for actor in self._actors.values():
            ray.kill(actor)
        self._actors.clear()
        if self._ours:
            ray.shutdown()
            atexit.unregister(self._at_exit)
        self._awaited.clear()

    def _start(self, worker: int, role: Role) -> None:
        variables = {_RUN: current_context()["run"]} | dict.fromkeys(
            ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(role.threads)
        )
        if not role.gpus:
            variables["CUDA_VISIBLE_DEVICES"] = ""
        if self._address is None:
            variables["PYTHONPATH"] = os.pathsep.join(_import_path())
        actor: Any = _RemoteActor.options(
            num_cpus=role.cpus,
            num_gpus=role.gpus,
            max_restarts=0,
            max_task_retries=0,
            # On a cluster a role's workers are spread, so that each machine prepares for those that are there.
            scheduling_strategy="SPREAD" if self._address else "DEFAULT",
            runtime_env={"env_vars": variables},
        ).remote(role.name)
        self._actors[worker], self._role_names[worker] = actor, role.name
        try:
            answer = actor.construct.remote(role)
        except Exception as error:
            self.post(Refused(worker, _undelivered(f"role {role.name!r}", error)))
            self.do(Kill(worker))
        else:
            self._awaited[worker, ""] = answer
            answer.future().add_done_callback(partial(self._constructed, worker))

    def _send(self, worker: int, work: WorkItem) -> None:
        actor = self._actors.get(worker)
        if actor is None:
            return  # It was lost this moment; the scheduler is about to hear of it.
        try:
            answer = actor.call.remote(work.method.__name__, work.args, work.key)
        except Exception as error:
            self.post(Failed(worker, work.key, _undelivered(work.key, error)))
        else:
            self._awaited[worker, work.key] = answer
            answer.future().add_done_callback(partial(self._called, worker, work.key))

    def _constructed(self, worker: int, future: Future[Answer]) -> None:
        answer = self._answer(worker, "", future)
        if answer and answer.error:
            self.post(Refused(worker, answer.error))
            self.do(Kill(worker))
        elif answer:
            self.post(Up(worker))

    def _called(self, worker: int, key: str, future: Future[Answer]) -> None:
        answer = self._answer(worker, key, future)
        if answer and answer.error:
            self.post(Failed(worker, key, answer.error))
        elif answer:
            self.post(Done(worker, key, answer.result))

    def _answer(self, worker: int, key: str, future: Future[Answer]) -> Answer | None:
        """What the worker said; None if there is no worker any more. Runs on a thread of Ray's."""
        self._arrived.append((worker, key))
        try:
            answer = future.result()
        except TaskCancelledError as error:
            error.__traceback__ = None  # See below.
            return None  # It was recalled.
        except RayTaskError as error:
            error.__traceback__ = None
            # Raised around the call: something that cannot be pickled, or imported over there.
            return Answer(error=_undelivered("a worker's arguments or its result", error))
        except RayError as error:
            # It leads to this call and so to the future, which has the error: a circle that kept the reference to the
            # answer until the garbage collector came by, on any thread.
            error.__traceback__ = None
            reason, with_node = _reason(error, self._folder), "node has died" in str(error)
        else:
            echo(answer.lines)
            if not answer.broken:
                return answer
            reason, with_node = answer.broken, False
        self.post(Lost(worker, reason, with_node))
        self.do(Kill(worker))
        return None

    def _gpus(self) -> float:
        return sum(role.workers * role.gpus for role in self._roles)

    def _check_gpus(self) -> None:
        """Not to wait forever for what is not there.

        Raises:
            SettingsError: a Ray of our own has too few GPUs.
        """
        if self._address is None:
            found = _ray.cluster_resources().get("GPU", 0.0)
            if self._gpus() > found:
                raise SettingsError(
                    f"the workers want {self._gpus():g} GPUs, this machine has {found:g}. Ask for fewer, or none"
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


_RemoteActor = ray.remote(_Actor)


@contextmanager
def _sigterm_as_it_was() -> Iterator[None]:
    """Ray's C++ takes SIGTERM for a crash: it prints where it was, and aborts the process three seconds later.

    Ours may need four to commit what is finished. Python sets handlers in the main thread only, which this is not.
    """
    if sys.platform != "linux":
        yield
        return
    libc, kept = ctypes.CDLL(None), ctypes.create_string_buffer(_SIGACTION)
    libc.sigaction(signal.SIGTERM, None, kept)
    try:
        yield
    finally:
        libc.sigaction(signal.SIGTERM, kept, None)


@contextmanager
def sessions_of_their_own() -> Iterator[None]:
    """Processes that Ray starts meanwhile lead sessions of their own, without a terminal.

    Prefect's worker, `timeout` and shells end a whole process group with SIGTERM, a closed terminal with SIGHUP. Ray's
    processes would be gone at once, and Ray ends a process whose Ray is gone: before it could commit what it has. And
    a process outside of the terminal's foreground group is stopped when it uses the terminal: see `troupe.terminal`.
    """
    private: Any = services
    popen = getattr(private, "ConsolePopen", None)
    if popen is None:  # It is not Ray's public interface.
        yield
        return

    def start(*args: Any, stdin: Any = None, **more: Any) -> Any:
        return popen(*args, stdin=subprocess.DEVNULL if stdin is None else stdin, start_new_session=True, **more)

    private.ConsolePopen = start
    try:
        yield
    finally:
        private.ConsolePopen = popen


def _import_path() -> list[str]:
    """Where this process finds modules beside its installation's: workers on this machine find them, too."""
    installed = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    return [str(Path(entry).absolute()) for entry in sys.path if not entry.startswith(installed)]


def _end_autoscaler() -> None:
    """End the monitor of our own Ray, which has nothing to scale and at the end takes a second to heed SIGTERM."""
    for process in psutil.Process().children():
        with suppress(psutil.Error):
            if any(part.endswith("/autoscaler/_private/monitor.py") for part in process.cmdline()):
                process.kill()


def _connecting() -> bool:
    """Whether Ray's processes are there, and this one is being connected to them or is connected.

    That takes a moment only, and cannot be broken off: without its processes, Ray tries for some twenty seconds.
    """
    return getattr(connection, "_global_node", None) is not None


def _end_half_started(folder: Path | None) -> None:
    """At this process's exit, in the middle of Ray's start: end what was started, which would linger for seconds.

    With it goes the run's folder, which these processes would otherwise make anew.

    Not earlier, and never a Ray that this process is connected to: Ray ends a process whose Ray was killed. While it is
    being connected there is nothing to shut down, and to wait for it may take ten seconds and end in an abort.
    """
    killed = []
    if ray.is_initialized():
        ray.shutdown()
    else:
        home = str(Path(ray.__file__).parent)
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if any(part.startswith((home, "ray::")) for part in process.cmdline()):
                    process.kill()
                    killed.append(process)
    if folder is not None:
        psutil.wait_procs(killed, timeout=1)
        shutil.rmtree(folder, ignore_errors=True)


def _undelivered(what: str, error: Exception) -> TroupeError:
    text = str(error).strip()[-_TAIL:]
    return TroupeError(f"{what} could not travel between processes. This is a defect; please report it with\n{text}")


def _reason(error: RayError, folder: Path | None) -> str:
    """What Ray says of a death, without its advice, and the process' own last words where they can be had."""
    text = str(error).strip()
    process = f"process {pid[1]}: " if (pid := re.search(r"^\tpid: (\d+)$", text, re.MULTILINE)) else ""
    detail = text.splitlines()[-1].split("Worker exit detail:")[-1].split(" Some common causes")[0].strip()
    words = _last_words(folder, pid[1]) if folder and pid else ""
    return f"{process}{detail}"[:_REASON] + words


def _last_words(folder: Path, pid: str) -> str:
    """Where Python was when it crashed, as the process wrote to its log."""
    for log in folder.glob(f"{_TEMPORARY}/session_latest/logs/worker-*-{pid}.err"):
        with suppress(OSError):
            lines = log.read_text(errors="replace").splitlines()
            for number, line in enumerate(lines):
                if line.startswith("Fatal Python error"):
                    places = [place.strip() for place in lines[number:] if place.startswith("  File ")]
                    return f"; {line}" + (f" at {places[0]}" if places else "")
    return ""
