"""The pool whose workers are Ray actors."""

from __future__ import annotations

import os
import secrets
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.pool.base import ThreadedPool
from tasks.pool.transport import Emit, Transport
from tasks.pool.work_item import Role
from troupe.errors import SettingsError
from troupe.progress import OnProgress

__all__ = ["Node", "RayPool", "cluster_nodes", "set_ray_environment"]

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # The pool reports a dead worker itself; Ray would on standard output.
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^A worker died or was killed while executing",
}


@dataclass(frozen=True)
class Node:
    """A machine of a Ray cluster.

    Attributes:
        cpus: number of CPUs it has for actors.
        gpus: number of GPUs it has for actors.
    """

    cpus: float
    gpus: float


class RayPool(ThreadedPool):
    """Workers in processes of their own, on this machine or on a Ray cluster's.

    Ray is started, or joined, when the first item is ready. A Ray that already runs in this process is used and left
    running; otherwise `close` and `stop` shut down what was started. The actors belong to this process and end with it.

    Args:
        roles: roles of the workers; their names differ.
        address: address of a cluster that this process joins as a driver (`auto` or `HOST:PORT`); None starts a
            separate Ray on this machine, even if another one runs there.
        stop: when set, the pool stops.
        log_to_driver: whether the workers' output is printed here.
        folder: folder for the files of a separately started Ray; None is Ray's default.
        on_progress: receives the progress of running items; some is lost.

    Raises:
        SettingsError: the address is a Ray Client's.
    """

    def __init__(
        self,
        roles: Sequence[Role],
        address: str | None = None,
        stop: threading.Event | None = None,
        *,
        log_to_driver: bool = False,
        folder: Path | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        _check_address(address)

        def connect(emit: Emit) -> Transport:
            set_ray_environment(address)
            from tasks.pool.ray_transport import RayTransport

            return RayTransport(emit, roles, address, log_to_driver=log_to_driver, folder=folder)

        super().__init__(roles, connect, ahead=1, stop=stop, on_progress=on_progress)


def cluster_nodes(address: str) -> list[Node]:
    """Return the machines that a Ray cluster has now.

    Raises:
        SettingsError: the address is a Ray Client's.
        TroupeError: the cluster cannot be reached.
    """
    _check_address(address)
    set_ray_environment(address)
    from tasks.pool.ray_runtime import alive_nodes

    return [Node(cpus, gpus) for cpus, gpus in alive_nodes(address)]


def set_ray_environment(address: str | None) -> None:
    """Set the variables that Ray reads when it is imported; set later, only the processes it starts would heed them.

    Importing Ray takes a second: not before it is needed.
    """
    if "ray" not in sys.modules:
        # Authentication is Ray's default when it starts a cluster; set explicitly, it does so without a warning. It
        # would keep a token in ~/.ray, and from then on every `ray start` of this user expects that of all nodes.
        own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        for name, value in (_QUIET if address else _QUIET | own).items():
            os.environ.setdefault(name, value)


def _check_address(address: str | None) -> None:
    if address and address.startswith("ray://"):
        raise SettingsError(
            f"{address} is the address of a Ray Client, which is not supported. Run on a node of the cluster, with the "
            "address auto"
        )
