"""The scheduler's decisions after errors, lost workers and timeouts, on simulated workers and a counted clock."""

from __future__ import annotations

from tasks.pool.scheduler import BACKOFF, MAX_TRIES
from tasks.pool.work_item import WorkItem
from tests.tasks.pool.simulation import Simulation, fates, item, role
from troupe.errors import InputError, NoFace, OutOfMemory, Overdue, StoreError, TroupeError, WorkerLost


class TestErrors:
    def test_bad_input_fails_only_its_item(self) -> None:
        error = NoFace("no face found")
        simulation = Simulation([role(2)], fates(b=error))
        assert simulation.run([item("a"), item("b"), item("c")]) == {"a": None, "b": error, "c": None}
        assert simulation.scheduler.attempts("b") == 1

    def test_a_failed_need_fails_its_dependants_with_the_same_error(self) -> None:
        error = InputError("no")
        simulation = Simulation([role()], fates(a=error))
        simulation.run([item("a"), item("b", needs=("a",))])
        ended = simulation.run([item("c", needs=("b",)), item("d")])
        assert ended == {"a": error, "b": error, "c": error, "d": None}
        assert simulation.scheduler.attempts("c") == 0

    def test_a_store_error_is_retried_later_while_other_items_run(self) -> None:
        def trouble(item: WorkItem, call: int) -> TroupeError | None:
            return StoreError("busy") if item.key == "a" and call < MAX_TRIES - 1 else None

        simulation = Simulation([role()], trouble)
        ended = simulation.run([item("a", cost=2), *(item(i) for i in range(10))])
        assert set(ended.values()) == {None}
        first, second, third = [start for start, _, _, key in sorted(simulation.log) if key == "a"]
        assert second - (first + 2) >= BACKOFF / 2
        assert third - (second + 2) >= BACKOFF
        assert simulation.counts.retries == MAX_TRIES - 1

    def test_a_store_error_that_persists_fails(self) -> None:
        error = StoreError("gone")
        simulation = Simulation([role()], fates(a=error))
        assert simulation.run([item("a"), item("b", needs=("a",))]) == {"a": error, "b": error}
        assert simulation.scheduler.attempts("a") == MAX_TRIES

    def test_an_item_that_kills_workers_fails_and_no_other_is_blamed(self) -> None:
        simulation = Simulation([role(2)], fates(killer="die"))
        ended = simulation.run([*(item(i) for i in range(50)), item("killer", cost=0.5)])
        error = ended.pop("killer")
        assert isinstance(error, WorkerLost)
        assert "killer" in error.message
        assert "2 times" in error.message
        assert set(ended.values()) == {None}
        assert simulation.counts.workers_lost == 2
        assert sum(simulation.scheduler.attempts(str(i)) > 1 for i in range(50)) <= 1, "only a suspect runs again"

    def test_an_item_that_times_out_is_retried_alone_and_then_fails(self) -> None:
        simulation = Simulation([role()], fates(stuck="hang"))
        ended = simulation.run([item("stuck", cost=2, timeout=9), item("other", timeout=9)])
        error = ended.pop("stuck")
        assert isinstance(error, Overdue)
        assert "timed out after 9 s on 2 workers" in error.message
        assert ended == {"other": None}
        assert simulation.now == 9 + 9 + 1
        assert simulation.scheduler.attempts("other") <= 2
        assert simulation.counts.workers_lost == 0

    def test_an_item_that_times_out_beside_another(self) -> None:
        """The time of the second of two items at once counts when the first has ended, for which it may wait."""
        simulation = Simulation([role(concurrency=2)], fates(stuck="hang"))
        ended = simulation.run([item("other", cost=5, timeout=9), item("stuck", cost=2, timeout=3)])
        assert isinstance(ended.pop("stuck"), Overdue)
        assert ended == {"other": None}
        assert simulation.now == 5 + 3 + 3

    def test_all_that_a_dead_worker_ran_is_retried_and_counted_once(self) -> None:
        def once(item: WorkItem, call: int) -> str | None:
            return "die" if item.key == "a" and not call else None

        simulation = Simulation([role(concurrency=3)], once)
        assert set(simulation.run([item("a", cost=2), item("b", cost=3), item("c", cost=4)]).values()) == {None}
        assert sorted(key for *_, key in simulation.log) == ["a", "b", "c"]
        assert [simulation.scheduler.attempts(key) for key in "abc"] == [2, 2, 2]

    def test_the_timeout_counts_from_the_start_of_an_item(self) -> None:
        simulation = Simulation([role()])
        assert set(simulation.run([item(i, cost=5, timeout=6) for i in range(9)]).values()) == {None}

    def test_no_item_is_blamed_for_a_lost_node(self) -> None:
        def node(item: WorkItem, call: int) -> str | None:
            return "node" if item.key == "a" and call < 3 else None

        simulation = Simulation([role()], node)
        assert set(simulation.run([item("a"), item("b")]).values()) == {None}
        simulation = Simulation([role()], fates(a="node"))
        assert isinstance(simulation.run([item("a"), item("b")])["a"], WorkerLost), "but not forever"

    def test_suspects_of_many_deaths_at_once(self) -> None:
        fate = fates(**{f"killer{i}": "die" for i in range(4)})
        simulation = Simulation([role(4)], fate, start=5)
        ended = simulation.run([*(item(f"killer{i}", cost=2) for i in range(4)), *(item(i) for i in range(30))])
        assert sum(isinstance(error, WorkerLost) for error in ended.values()) == 4
        assert sum(error is None for error in ended.values()) == 30

    def test_an_item_whose_worker_died_once_succeeds(self) -> None:
        def once(item: WorkItem, call: int) -> str | None:
            return "die" if item.key == "a" and not call else None

        assert Simulation([role()], once).run([item("a"), item("b")]) == {"a": None, "b": None}

    def test_out_of_memory_is_retried_once_on_a_fresh_process(self) -> None:
        def full(item: WorkItem, call: int) -> TroupeError | None:
            return OutOfMemory("full") if item.key == "a" and not call else None

        simulation = Simulation([role(2)], full)
        assert set(simulation.run([item("a", cost=0.5), *(item(i) for i in range(9))]).values()) == {None}
        assert simulation.scheduler.attempts("a") == 2
        assert simulation.counts.workers_lost == 0

    def test_a_used_worker_makes_room_for_a_fresh_one_if_necessary(self) -> None:
        calls = iter([None, "die", None, OutOfMemory("full"), None])
        simulation = Simulation([role(1)], lambda _item, _call: next(calls))
        assert simulation.run([item(1, cost=3), item(2, cost=2), item(3)]) == {"1": None, "2": None, "3": None}

    def test_out_of_memory_that_persists_fails(self) -> None:
        error = OutOfMemory("full")
        simulation = Simulation([role(2)], fates(a=error))
        assert simulation.run([item("a"), item("b")]) == {"a": error, "b": None}
        assert simulation.scheduler.attempts("a") == 2
