"""Start and stop of Ray for this process: a separate Ray on this machine, or a connection to a cluster."""

from __future__ import annotations

import atexit
import ctypes
import logging
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import ray
from ray._private import services
from ray._private import worker as connection
from ray.exceptions import RayError
from ray.job_config import JobConfig

from troupe.errors import TroupeError

__all__ = ["RayRuntime", "alive_nodes", "is_connecting", "job_config", "session_logs"]

_OBJECT_STORE = 100 * 2**20
"""Bytes; only URIs, keys and errors go through it."""

_MAX_FOLDER_LENGTH = 43
"""Characters: a socket's path may have 107, and Ray adds up to 64."""

_SIGACTION_SIZE = 256
"""Bytes; the C library's structure is smaller."""

_WATCH_INTERVAL = 0.5
"""Seconds between two looks at the control process of our own Ray."""

_TEMPORARY = "r"
"""Name, as short as can be, of Ray's folder in a run's folder."""

_INSTALLED = Path(__file__).parents[2]
"""The folder that troupe's packages are in."""

_ray: Any = ray
"""For what Ray leaves untyped."""


class RayRuntime:
    """Ray as this process uses it. A Ray that already runs in this process is used and left running.

    Args:
        address: address of the cluster to join; None starts a Ray of our own on this machine.
        cpus: number of CPUs that a Ray of our own must have, even if the machine has fewer.
        gpus: whether a Ray of our own has the machine's GPUs.
        folder: folder of the run, where a Ray of our own keeps its files; None is Ray's usual one.
        log_to_driver: whether the output of Ray's workers is printed here.

    Attributes:
        folder: the same; None if Ray uses its own, also because the path is too long.
        started: whether `start` connected this process, so that `stop` disconnects it.
        dead: whether a Ray of our own has ended by itself: nothing of Ray's may be called any more.
    """

    def __init__(
        self,
        address: str | None,
        *,
        cpus: float,
        gpus: bool,
        folder: Path | None = None,
        log_to_driver: bool = False,
    ) -> None:
        # Ray's sockets are in this folder, and the path of a socket is short.
        self.folder = folder if folder and len(str(folder / _TEMPORARY)) <= _MAX_FOLDER_LENGTH else None
        self.started = self.dead = False
        self._closing = threading.Event()
        self._address = address
        self._cpus, self._gpus = cpus, gpus
        self._log_to_driver = log_to_driver
        self._at_exit = partial(_end_half_started, self.folder)

    def start(self) -> None:
        """Start Ray or join the cluster.

        Raises:
            TroupeError: Ray does not start, or the cluster cannot be reached.
        """
        if ray.is_initialized():
            return
        self.started = True
        atexit.register(self._at_exit)
        logging.getLogger("ray").setLevel(logging.ERROR)
        options = self._own_options() if self._address is None else {"address": self._address}
        try:
            with _detached_processes(), _loopback(), _kept_sigterm():
                ray.init(
                    namespace="troupe",
                    job_config=job_config(),
                    log_to_driver=self._log_to_driver,
                    logging_level=logging.ERROR,
                    **options,
                )
        except (RayError, OSError, RuntimeError, ValueError) as error:
            what = f"join the Ray cluster at {self._address}" if self._address else "start Ray on this machine"
            raise TroupeError(f"could not {what}: {error}") from error
        if self._address is None:
            _kill_autoscaler()

    def watch(self, on_death: Callable[[], None]) -> None:
        """Call `on_death`, on another thread, when the control process of a Ray of our own ends before `stop`.

        Every call of Ray's blocks then, and Ray ends this process after a minute.
        """
        if self.started and self._address is None and (control := _control_process()) is not None:
            threading.Thread(target=self._wait_for_death, args=(control, on_death), daemon=True).start()

    def _wait_for_death(self, control: psutil.Process, on_death: Callable[[], None]) -> None:
        while not self._closing.wait(_WATCH_INTERVAL):
            if not control.is_running() or control.status() == psutil.STATUS_ZOMBIE:
                self.dead = True
                atexit.unregister(connection.shutdown)  # It would block.
                on_death()
                return

    def stop(self) -> None:
        """Shut down what `start` started, or leave the cluster that it joined."""
        self._closing.set()
        if self.started and not self.dead:
            with _kept_sigterm():
                ray.shutdown()
            atexit.unregister(self._at_exit)

    def abandon(self) -> None:
        """Leave the end to this process's exit, before Ray's own exit handler.

        That one would ask its processes to end and wait for them.
        """
        if self.started:
            atexit.unregister(self._at_exit)
            atexit.register(partial(_end_half_started, self.folder, dead=self.dead))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _own_options(self) -> dict[str, Any]:
        return {
            # "local" and not None, which joins any Ray that happens to run on this machine.
            "address": "local",
            # Workers are sized to the machine by the caller: Ray must not leave one of them waiting.
            "num_cpus": max(os.cpu_count() or 1, math.ceil(self._cpus)),
            "num_gpus": None if self._gpus else 0,
            **({"_temp_dir": str(self.folder / _TEMPORARY)} if self.folder else {}),
            # Not reachable from other machines; see `_loopback`.
            "_node_ip_address": "127.0.0.1",
            "include_dashboard": False,
            "object_store_memory": _OBJECT_STORE,
            "_system_config": {
                # Actors have processes of their own; idle ones would only take memory.
                "prestart_worker_first_driver": False,
                # A killed worker takes its ffmpeg with it.
                "process_group_cleanup_enabled": True,
                # With Ray's default of 15, workers get next to nothing beside anything else that runs here.
                "worker_niceness": 0,
            },
        }


def alive_nodes(address: str) -> list[tuple[float, float]]:
    """Return the CPUs and GPUs of every node of a cluster.

    Raises:
        TroupeError: the cluster cannot be reached.
    """
    with RayRuntime(address, cpus=0, gpus=False):
        alive = [node["Resources"] for node in _ray.nodes() if node["Alive"]]
        return [(float(node.get("CPU", 0)), float(node.get("GPU", 0))) for node in alive]


def is_connecting() -> bool:
    """Whether Ray's processes run, and this process is connected to them or being connected.

    Connecting takes a moment only and cannot be interrupted: without its processes, Ray tries for some twenty seconds.
    """
    return getattr(connection, "_global_node", None) is not None


def session_logs(folder: Path) -> Path:
    """Return where a Ray that keeps its files in this run's folder writes its logs."""
    return folder / _TEMPORARY / "session_latest" / "logs"


class _ImportPath(list[str]):
    """The folders that Ray puts before all others on the import path of workers, without the working folder.

    There a user may have a `tasks.py`, which workers would import in place of troupe's package.
    """

    def extend(self, folders: Iterable[str]) -> None:
        """Add folders; the working folder only if troupe itself is there."""
        super().extend(folder for folder in folders if Path(folder) != Path.cwd() or Path(folder) == _INSTALLED)


def job_config() -> JobConfig:
    """Return how Ray starts workers for this process."""
    config = JobConfig()
    config._py_driver_sys_path = _ImportPath()
    return config


@contextmanager
def _kept_sigterm() -> Iterator[None]:
    """Restore this process's SIGTERM handler after the `with` block.

    Ray's C++ treats SIGTERM as a crash: it prints a stack trace and aborts the process three seconds later, while
    troupe may need four to commit what is finished. In the main thread, Ray also sets a Python handler that exits at
    once. Ray's shutdown resets the C handler to the default, and Python does not learn of it.
    """
    if sys.platform != "linux":
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    libc, action = ctypes.CDLL(None), ctypes.create_string_buffer(_SIGACTION_SIZE)
    libc.sigaction(signal.SIGTERM, None, action)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
        libc.sigaction(signal.SIGTERM, action, None)


@contextmanager
def _detached_processes() -> Iterator[None]:
    """Start Ray's processes, inside the `with` block, in sessions of their own and without a terminal.

    Prefect's worker, `timeout` and shells end a whole process group with SIGTERM, a closed terminal with SIGHUP. Ray's
    processes would be gone at once, and Ray ends a process whose Ray is gone: before it could commit what it has. And
    a process outside of the terminal's foreground group is stopped when it uses the terminal: see
    `troupe.process.terminal`.
    """
    private: Any = services
    popen = getattr(private, "ConsolePopen", None)
    if popen is None:  # It is not part of Ray's public interface.
        yield
        return

    def start(*args: Any, stdin: Any = None, **more: Any) -> Any:
        return popen(*args, stdin=subprocess.DEVNULL if stdin is None else stdin, start_new_session=True, **more)

    private.ConsolePopen = start
    try:
        yield
    finally:
        private.ConsolePopen = popen


@contextmanager
def _loopback() -> Iterator[None]:
    """Let Ray's processes, started inside the `with` block, listen on loopback if that is this node's address.

    Ray replaces 127.0.0.1 by the machine's address in the network, and then listens on all addresses, without
    authentication.
    """
    private: Any = services
    resolve = getattr(private, "resolve_ip_for_localhost", None)
    if resolve is None:  # It is not part of Ray's public interface.
        yield
        return
    private.resolve_ip_for_localhost = lambda host: host
    try:
        yield
    finally:
        private.resolve_ip_for_localhost = resolve


def _kill_autoscaler() -> None:
    """Kill the monitor of our own Ray, which has nothing to scale and at the end takes a second to heed SIGTERM."""
    for process in psutil.Process().children():
        with suppress(psutil.Error):
            if any(part.endswith("/autoscaler/_private/monitor.py") for part in process.cmdline()):
                process.kill()


def _control_process() -> psutil.Process | None:
    """Return the process of our own Ray that all its others depend on (GCS), None if it is not known."""
    for process in psutil.Process().children():
        with suppress(psutil.Error):
            if Path(process.cmdline()[0]).name == "gcs_server":
                return process
    return None


def _end_half_started(folder: Path | None, *, dead: bool = False) -> None:
    """End what was started, at this process's exit in the middle of Ray's start; it would linger for seconds.

    The run's folder is removed, too, which these processes would otherwise create again.

    Not earlier, and never a Ray that this process is connected to: Ray ends a process whose Ray was killed. While it is
    being connected there is nothing to shut down, and to wait for it may take ten seconds and end in an abort.
    """
    logging.getLogger("ray").setLevel(logging.CRITICAL + 1)  # Its start, on another thread, misses them.
    killed = []
    if ray.is_initialized() and not dead:
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
