"""The Ray actor: the process around one worker, and how it is started."""

from __future__ import annotations

import os
import pickle
import sys
import sysconfig
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.experimental import internal_kv

from tasks.pool.call import CallOutcome, call_method, construct_worker
from tasks.pool.log_forwarding import capture_logs
from tasks.pool.work_item import Role
from troupe.errors import TroupeError
from troupe.process.log_context import current_context, set_run_id
from troupe.process.terminal import close_stdin
from troupe.progress import Progress, ProgressReporter

__all__ = ["delete_progress", "fetch_progress", "start_actor"]

_RUN_VARIABLE = "TROUPE_RUN"
"""Environment variable with the id of the run that a worker works for."""

_WAIT_POLICY = "OMP_WAIT_POLICY"
"""How OpenMP's threads wait, read when torch is imported. Actively, they would take the cores from other workers, from
ffmpeg and from whatever else runs on the machine."""

_PROGRESS_NAMESPACE = b"troupe-progress"
"""Namespace of Ray's key-value table in which every worker has one entry, which it overwrites."""

_PROGRESS_TIMEOUT = 1.0
"""Seconds after which progress that cannot be sent or fetched is lost."""


class _WorkerActor:
    """The process around one worker."""

    def __init__(self, name: str) -> None:
        close_stdin()  # before its role is unpickled, which imports libraries
        self._name = name
        self._worker: Any = None
        self._reporter = ProgressReporter(self._put_progress)
        self._progress: dict[str, Progress] = {}  # by item

    def construct(self, role: Role) -> CallOutcome:
        """Construct the worker: in a call and not in `__init__`, so that its error is returned as it is."""
        with suppress(KeyError):
            set_run_id(os.environ[_RUN_VARIABLE])
        outcome = construct_worker(role)
        self._worker = outcome.result
        return _picklable(CallOutcome(error=outcome.error, broken=outcome.broken))

    def call(self, method: str, args: tuple[Any, ...], name: str) -> CallOutcome:
        """Call the worker's method."""
        with capture_logs(name) as lines:
            outcome = call_method(self._worker, method, args, name, self._reporter)
        self._progress.pop(name, None)
        return replace(_picklable(outcome), lines=tuple(lines))

    def _put_progress(self, progress: Progress) -> None:
        self._progress[progress.item] = progress
        _put_progress(tuple(self._progress.copy().values()))

    def __repr__(self) -> str:
        return self._name


_RemoteActor = ray.remote(_WorkerActor)


def start_actor(role: Role, *, on_cluster: bool) -> Any:
    """Start an actor for a role's worker, whose `construct` must be called next; return its handle."""
    environment = {_RUN_VARIABLE: current_context()["run"]} | dict.fromkeys(
        ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(role.threads)
    )
    environment[_WAIT_POLICY] = os.environ.get(_WAIT_POLICY, "PASSIVE")
    if not role.gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    if not on_cluster:
        environment["PYTHONPATH"] = os.pathsep.join(_import_path())
    return _RemoteActor.options(
        num_cpus=role.cpus,
        num_gpus=role.gpus,
        max_restarts=0,
        max_task_retries=0,
        max_concurrency=role.concurrency,
        # On a cluster a role's workers are spread, so that each node prepares for the workers it has.
        scheduling_strategy="SPREAD" if on_cluster else "DEFAULT",
        runtime_env={"env_vars": environment},
    ).remote(role.name)


def fetch_progress(actor: Any) -> tuple[Progress, ...]:
    """Return what a worker reported last, of each item that it runs."""
    with suppress(RayError, OSError, RuntimeError):
        value = _key_values().internal_kv_get(_progress_key(actor), _PROGRESS_NAMESPACE, _PROGRESS_TIMEOUT)
        return pickle.loads(value) if value else ()
    return ()


def delete_progress(actor: Any) -> None:
    """Delete what a worker reported, which a cluster would keep."""
    with suppress(RayError, OSError, RuntimeError):
        _key_values().internal_kv_del(_progress_key(actor), False, _PROGRESS_NAMESPACE, _PROGRESS_TIMEOUT)


def _put_progress(progress: tuple[Progress, ...]) -> None:
    key = str(ray.get_runtime_context().get_actor_id()).encode()
    with suppress(RayError, OSError, RuntimeError):
        _key_values().internal_kv_put(key, pickle.dumps(progress), True, _PROGRESS_NAMESPACE, _PROGRESS_TIMEOUT)


def _progress_key(actor: Any) -> bytes:
    return str(actor._actor_id.hex()).encode()


def _key_values() -> Any:
    """Return the client of Ray's key-value table: small values, without traffic through the object store."""
    untyped: Any = internal_kv
    return untyped.internal_kv_get_gcs_client()


def _picklable(outcome: CallOutcome) -> CallOutcome:
    """Return the outcome, its error replaced if it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(outcome.error))
    except Exception:
        return CallOutcome(error=TroupeError(f"{type(outcome.error).__name__}: {outcome.error}"))
    return outcome


def _import_path() -> list[str]:
    """Return where this process finds modules outside its installation, so that workers on this machine do, too."""
    installed = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    return [str(Path(entry).absolute()) for entry in sys.path if not entry.startswith(installed)]
