"""Which item goes to which worker, on simulated workers and a counted clock."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import count
from random import Random

import pytest

from tasks.pool.messages import Command, ResolveItem, StartWorker, WorkerDied
from tasks.pool.role_queue import QueuedItem, RoleQueue
from tasks.pool.work_item import Role, WorkItem
from tests.tasks.pool.simulation import Simulation, item, order, role


class TestOrder:
    def test_the_longest_starts_first_and_among_equals_the_first_submitted(self) -> None:
        simulation = Simulation([role()])
        simulation.run([item(i, cost=cost) for i, cost in enumerate((1, 5, 3, 5, 0))])
        assert order(simulation) == ["1", "3", "2", "0", "4"]

    def test_needs_run_first(self) -> None:
        simulation = Simulation([role(2), role(1, "prepare")])
        simulation.run(
            [
                item("motion", role="prepare", cost=1),
                item("appearance", role="prepare", cost=2),
                item("render", needs=("motion", "appearance", "motion"), cost=10),
                item("other", cost=1),
            ]
        )
        assert order(simulation)[-1] == "render"
        assert simulation.now == 13

    def test_items_of_an_affinity_key_run_on_one_worker(self) -> None:
        simulation = Simulation([role(2)])
        simulation.run([item((hold, i), affinity_key=hold, cost=2 - i / 9) for i in range(9) for hold in "ab"])
        players = {hold: {worker for *_, worker, key in simulation.log if hold in key} for hold in "ab"}
        assert all(len(workers) == 1 for workers in players.values())
        assert players["a"] != players["b"]

    def test_an_idle_worker_takes_items_of_another_workers_affinity_key(self) -> None:
        simulation = Simulation([role(4)])
        simulation.run([item(i, affinity_key="a") for i in range(40)])
        assert simulation.now == 10

    def test_items_of_a_busy_workers_affinity_key_come_last_for_others(self) -> None:
        simulation = Simulation([role(2)])
        simulation.run(
            [item("long", affinity_key="a", cost=10), item("rest", affinity_key="a"), *(item(i) for i in range(9))]
        )
        workers = {key: worker for *_, worker, key in simulation.log}
        assert all(workers[str(i)] != workers["long"] for i in range(9))
        assert order(simulation)[-1] == "rest", "the other worker ran it when it had nothing else"
        assert simulation.now == 10

    def test_a_dead_worker_releases_its_affinity_keys(self) -> None:
        def once(item: WorkItem, call: int) -> str | None:
            return "die" if item.key == "a" and not call else None

        simulation = Simulation([role(1)], once)
        assert simulation.run([item("a", affinity_key="x", cost=9), item("b", affinity_key="x")]) == {
            "a": None,
            "b": None,
        }

    def test_at_most_one_item_is_sent_ahead(self) -> None:
        simulation = Simulation([role(3)])
        simulation.run([item(i) for i in range(100)])
        assert simulation.max_queue == 2
        assert simulation.now == math.ceil(100 / 3)

    def test_an_only_worker_runs_as_many_as_it_may_until_the_last(self) -> None:
        simulation = Simulation([role(concurrency=2)])
        simulation.run([item(i) for i in range(10)])
        assert simulation.max_queue == 2
        assert simulation.now == 5

    def test_items_at_once_do_not_unbalance_workers(self) -> None:
        simulation = Simulation([role(2, concurrency=3)])
        simulation.run([item(i, cost=9) for i in range(2)])
        assert simulation.max_queue == 1
        assert len({worker for *_, worker, _ in simulation.log}) == 2
        simulation = Simulation([role(2, concurrency=3)])
        simulation.run([item(i) for i in range(30)])
        assert simulation.max_queue == 3

    def test_nothing_queues_behind_a_long_item_while_a_worker_is_idle(self) -> None:
        simulation = Simulation([role(2)])
        simulation.run([item("long", cost=100), *(item(i, cost=10) for i in range(5))])
        assert simulation.now == 100

    def test_workers_start_only_as_needed(self) -> None:
        simulation = Simulation([role(5), role(5, "unused")], start=1)
        simulation.run([item(1), item(2), item(3, needs=("1",))])
        assert simulation.started == {"play": 2}
        assert simulation.counts.workers_started == 2

    def test_a_long_item_starts_in_time_regardless_of_affinity(self) -> None:
        simulation = Simulation([role(2)])
        items = [item("first", affinity_key="a", cost=12), item("second", affinity_key="a", cost=11)]
        simulation.run([*items, *(item(i) for i in range(4))])
        assert simulation.now == 14

    def test_affinity_is_kept_while_items_become_ready_one_by_one(self) -> None:
        """Items that are not ready yet count as remaining, so none of these looks like the last."""
        simulation = Simulation([role(2), role(1, "prepare")])
        clips = [item(f"clip{i}", role="prepare", cost=2) for i in range(20)]
        renders = [
            item(f"render{i}", needs=(f"clip{i}",), affinity_key="ab"[i % 2], cost=3 + i / 20) for i in range(20)
        ]
        simulation.run([*clips, *renders])
        workers = {i: worker for *_, worker, key in simulation.log for i in range(20) if key == f"render{i}"}
        assert len({workers[i] for i in range(0, 16, 2)}) == 1
        assert len({workers[i] for i in range(1, 16, 2)}) == 1

    def test_what_finishes_goes_first_and_is_not_held_back(self) -> None:
        simulation = Simulation([role(), Role("prepare", object, backpressure_limit=1)])
        finishing = replace(item("film", role="prepare", needs=("first",)), finishing=True)
        items = [item("first", cost=9), *(item(i, cost=5) for i in range(3)), finishing]
        simulation.run([*items, item("track", role="prepare", needs=("first",), cost=50)])
        started = order(simulation)
        assert started.index("film") < started.index("track"), started
        assert started.index("film") <= 2, started

    def test_workers_start_for_what_finishes_only_while_others_are_held_back(self) -> None:
        commands: list[Command | ResolveItem] = []
        queue = RoleQueue(Role("prepare", object, workers=4), 1, count(), commands)
        film = replace(item("film", role="prepare"), finishing=True)
        for number, ready in enumerate([film, *(item(i, role="prepare") for i in range(3))]):
            queued = QueuedItem(ready, number, 0)
            queue.admit(queued)
            queue.enqueue(queued)
        queue.assign_finishing(0.0)
        queue.assign_finishing(1.0)
        assert [type(command) for command in commands] == [StartWorker]
        queue.assign(2.0)
        assert len(commands) == 4

    def test_backpressure_pauses_preparation(self) -> None:
        """A clip is prepared only while fewer than three renders are ready: no worker waits, none is far behind."""
        simulation = Simulation([role(), Role("prepare", object, backpressure_limit=3)])
        clips = [item(f"clip{i}", role="prepare", cost=1) for i in range(12)]
        simulation.run([*clips, *(item(f"render{i}", needs=(f"clip{i}",), cost=4) for i in range(12))])
        assert simulation.now == 1 + 12 * 4
        started = {key: start for start, _, _, key in simulation.log}
        for i in range(12):
            prepared = sum(started[f"clip{j}"] <= started[f"clip{i}"] for j in range(12))
            rendered = sum(started[f"render{j}"] <= started[f"clip{i}"] for j in range(12))
            assert prepared - rendered <= 3 + 2  # one being prepared, and one rendered or sent ahead

    @pytest.mark.parametrize("identities", [0, 50, 400])
    def test_many_workers_are_kept_busy(self, identities: int) -> None:
        random = Random(7)
        items = [
            item(
                i,
                cost=random.lognormvariate(0, 1),
                affinity_key=str(random.randrange(identities)) if identities else "",
            )
            for i in range(4000)
        ]
        simulation = Simulation([role(64)])
        simulation.run(items)
        optimum = max(math.fsum(item.cost for item in items) / 64, max(item.cost for item in items))
        assert optimum / simulation.now >= 0.95


class TestStartWorkers:
    def test_workers_start_before_there_are_items_and_are_used(self) -> None:
        simulation = Simulation([role(3), role(3, "other")], start=5)
        simulation.scheduler.start_workers("play", 2)
        simulation.run([])
        assert simulation.started == {"play": 2}
        assert simulation.now == 5
        simulation.run([item("a"), item("b")])
        assert simulation.now == 6
        assert simulation.started == {"play": 2}

    def test_as_many_as_the_role_may_have(self) -> None:
        simulation = Simulation([role(2)])
        simulation.scheduler.start_workers("play", 9)
        simulation.run([])
        simulation.scheduler.start_workers("play", 2)
        simulation.run([])
        assert simulation.started == {"play": 2}

    def test_one_that_dies_while_it_starts_is_replaced_when_an_item_needs_it(self) -> None:
        simulation = Simulation([role()])
        scheduler = simulation.scheduler
        scheduler.start_workers("play", 1)
        (start,) = scheduler.decide(0)
        assert isinstance(start, StartWorker)
        scheduler.handle(WorkerDied(start.worker, "killed"), 0)
        assert scheduler.decide(9) == []
        assert simulation.run([item("a")]) == {"a": None}

    def test_nothing_starts_after_a_stop(self) -> None:
        simulation = Simulation([role()])
        simulation.scheduler.start_workers("play", 1)
        simulation.run([])
        simulation.scheduler.stop()
        simulation.scheduler.start_workers("play", 1)
        simulation.run([])
        assert simulation.started == {"play": 1}
        assert not simulation._processes
