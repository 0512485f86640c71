"""The pool whose workers are Ray actors."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.pool.base import ThreadedPool
from tasks.pool.transport import Post, Transport
from tasks.pool.work_item import Role
from troupe.errors import SettingsError

__all__ = ["Node", "RayPool", "before_import", "cluster_nodes"]

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # The pool reports a dead worker itself; Ray would on standard output.
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^A worker died or was killed while executing",
}

_OWN = {
    # What Ray does of itself when it starts a cluster; said aloud, it does so without a warning.
    "RAY_AUTH_MODE": "token",
}


@dataclass(frozen=True)
class Node:
    """A machine of a Ray cluster, by what it has for actors."""

    cpus: float
    gpus: float


def cluster_nodes(address: str) -> list[Node]:
    """The machines that a Ray cluster has now.

    Raises:
        SettingsError: the address is a Ray Client's.
        TroupeError: the cluster cannot be reached.
    """
    _check(address)
    before_import(address)
    from tasks.pool.ray_transport import nodes

    return [Node(cpus, gpus) for cpus, gpus in nodes(address)]


def _check(address: str | None) -> None:
    if address and address.startswith("ray://"):
        raise SettingsError(
            f"{address} is the address of a Ray Client. Run on a node of the cluster, with the address auto"
        )


def before_import(address: str | None) -> None:
    """Ray reads these when it is imported, once: set later, only the processes it starts would heed them.

    Importing it takes a second: not before it is needed.
    """
    if "ray" not in sys.modules:
        for name, value in (_QUIET if address else _QUIET | _OWN).items():
            os.environ.setdefault(name, value)


class RayPool(ThreadedPool):
    """Workers in processes of their own, on this machine or on a Ray cluster's.

    Ray is started, or joined, when the first work can begin. A Ray that runs in this process already is used and
    left running; otherwise `close` and `stop` shut down what was started. The actors belong to this process and
    end with it.

    Args:
        roles: whose workers there can be; their names differ.
        address: of a cluster that this process joins as a driver (`auto` or `HOST:PORT`); None starts a Ray of
            its own on this machine, whatever else runs there.
        stop: when set, the pool stops.
        log_to_driver: whether the workers' output is printed here.
        folder: of the run, where a Ray of its own keeps what it writes; gone with it. Ray's usual one by default.

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
    ) -> None:
        _check(address)

        def connect(post: Post) -> Transport:
            before_import(address)
            from tasks.pool.ray_transport import RayTransport

            return RayTransport(post, roles, address, log_to_driver=log_to_driver, folder=folder)

        super().__init__(roles, connect, ahead=1, stop=stop)
