"""Sizing for a machine and for a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.pool import Node, Role
from tasks.run.worker_roles import (
    CORES_PER_RENDER_WORKER,
    ITEMS_PER_GPU,
    PREPROCESS,
    READY_PER_RENDER_WORKER,
    RENDER,
    Machine,
    cluster_roles,
    worker_roles,
)
from tasks.steps.context import WorkerConfig


def config(device: str = "auto") -> WorkerConfig:
    return WorkerConfig(store="s", weights="w", detector="", device=device, dtype="auto", scratch=Path("/tmp/x"))


def by_name(roles: list[Role]) -> dict[str, Role]:
    return {role.name: role for role in roles}


@pytest.mark.parametrize(
    ("machine", "render_workers", "gpus", "threads", "preprocess_workers"),
    [
        (Machine(2, 0), 1, 0, 2, 1),
        (Machine(16, 0), 4, 0, 4, 4),
        (Machine(32, 4), 4, 1, 8, 8),
        (Machine(2, 4), 4, 1, 1, 1),
    ],
)
def test_a_machine(machine: Machine, render_workers: int, gpus: int, threads: int, preprocess_workers: int) -> None:
    roles = by_name(worker_roles(config(), machine))
    assert (roles[RENDER].workers, roles[RENDER].gpus, roles[RENDER].threads) == (render_workers, gpus, threads)
    assert roles[RENDER].concurrency == (ITEMS_PER_GPU if gpus else 1)
    assert roles[PREPROCESS].workers == preprocess_workers
    assert roles[PREPROCESS].backpressure_limit == READY_PER_RENDER_WORKER * render_workers


def test_the_number_of_workers_may_be_set_but_is_at_most_the_number_of_gpus() -> None:
    assert by_name(worker_roles(config(), Machine(8, 0), workers=4))[RENDER].workers == 4
    assert by_name(worker_roles(config(), Machine(8, 2), workers=4))[RENDER].workers == 2


@pytest.mark.parametrize(
    ("nodes", "device", "workers", "render_workers", "gpus", "cpus", "preprocess_workers"),
    [
        # The head has no cores for actors.
        ([Node(0, 0), Node(8, 1), Node(8, 1)], "auto", None, 2, 1, 1, 4),
        ([Node(64, 8), Node(8, 0)], "auto", None, 8, 1, 1, 16),
        ([Node(2, 0), Node(2, 0)], "auto", None, 2, 0, 1, 2),
        ([Node(16, 0), Node(8, 0)], "auto", None, 6, 0, 3, 6),
        ([Node(8, 1)], "cpu", None, 2, 0, 3, 2),
        # No node is up yet: the autoscaler will start some.
        ([Node(0, 0)], "cuda", 8, 8, 1, 1, 8),
    ],
)
def test_a_cluster(
    monkeypatch: pytest.MonkeyPatch,
    nodes: list[Node],
    device: str,
    workers: int | None,
    render_workers: int,
    gpus: int,
    cpus: int,
    preprocess_workers: int,
) -> None:
    monkeypatch.setattr("tasks.run.worker_roles.cluster_nodes", lambda _: nodes)
    roles = by_name(cluster_roles(config(device), "auto", workers))
    render, preprocess = roles[RENDER], roles[PREPROCESS]
    assert (render.workers, render.gpus, render.cpus, preprocess.workers) == (
        render_workers,
        gpus,
        cpus,
        preprocess_workers,
    )
    for node in nodes:
        if node.cpus >= 1 and (not gpus or node.gpus):
            alone = node.gpus or node.cpus // CORES_PER_RENDER_WORKER or 1
            assert alone * render.cpus + 1 <= node.cpus, "there is room for preprocessing"
