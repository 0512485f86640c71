"""How many workers of which size suit a machine, and a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.pool import Node, Role
from tasks.run import sizing as crews
from tasks.run.sizing import PREPROCESS, RENDER, Machine, cluster_roles, worker_roles
from tasks.steps.context import WorkerConfig


def setup(device: str = "auto") -> WorkerConfig:
    return WorkerConfig(store="s", weights="w", detector="", device=device, dtype="auto", scratch=Path("/tmp/x"))


def by_name(roles: list[Role]) -> dict[str, Role]:
    return {role.name: role for role in roles}


@pytest.mark.parametrize(
    ("machine", "performers", "gpus", "threads", "preparers"),
    [
        (Machine(2, 0), 1, 0, 2, 1),
        (Machine(16, 0), 4, 0, 4, 4),
        (Machine(32, 4), 4, 1, 8, 8),
        (Machine(2, 4), 4, 1, 1, 1),
    ],
)
def test_a_machine(machine: Machine, performers: int, gpus: int, threads: int, preparers: int) -> None:
    roles = by_name(worker_roles(setup(), machine))
    assert (roles[RENDER].workers, roles[RENDER].gpus, roles[RENDER].threads) == (performers, gpus, threads)
    assert roles[PREPROCESS].workers == preparers
    assert roles[PREPROCESS].backpressure_limit == crews.AHEAD * performers


def test_fewer_or_more_may_be_asked_for_but_no_more_than_gpus() -> None:
    assert by_name(worker_roles(setup(), Machine(8, 0), workers=4))[RENDER].workers == 4
    assert by_name(worker_roles(setup(), Machine(8, 2), workers=4))[RENDER].workers == 2


@pytest.mark.parametrize(
    ("nodes", "device", "workers", "performers", "gpus", "cpus", "preparers"),
    [
        # The head has no cores for actors.
        ([Node(0, 0), Node(8, 1), Node(8, 1)], "auto", None, 2, 1, 1, 4),
        ([Node(64, 8), Node(8, 0)], "auto", None, 8, 1, 1, 16),
        ([Node(2, 0), Node(2, 0)], "auto", None, 2, 0, 1, 2),
        ([Node(16, 0), Node(8, 0)], "auto", None, 6, 0, 3, 6),
        ([Node(8, 1)], "cpu", None, 2, 0, 3, 2),
        # Nothing is there yet: the autoscaler will see to it.
        ([Node(0, 0)], "cuda", 8, 8, 1, 1, 8),
    ],
)
def test_a_cluster(
    monkeypatch: pytest.MonkeyPatch,
    nodes: list[Node],
    device: str,
    workers: int | None,
    performers: int,
    gpus: int,
    cpus: int,
    preparers: int,
) -> None:
    monkeypatch.setattr(crews, "cluster_nodes", lambda _: nodes)
    roles = by_name(cluster_roles(setup(device), "auto", workers))
    perform, prepare = roles[RENDER], roles[PREPROCESS]
    assert (perform.workers, perform.gpus, perform.cpus, prepare.workers) == (performers, gpus, cpus, preparers)
    for node in nodes:
        if node.cpus >= 1 and (not gpus or node.gpus):
            alone = node.gpus or node.cpus // crews.CORES_PER_PERFORMER or 1
            assert alone * perform.cpus + 1 <= node.cpus, "there is room for preparation"
