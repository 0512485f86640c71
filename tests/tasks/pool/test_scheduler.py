"""The scheduler's decisions, on simulated workers and a counted clock."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.pool.messages import NoWorkers, RecallItem, ResolveItem
from tasks.pool.scheduler import BACKOFF, MAX_TRIES
from tasks.pool.work_item import Role, WorkItem
from tests.tasks.pool.plans import Plan, PlanWorker, kind, plans
from tests.tasks.pool.simulation import Fate, Simulation
from troupe.errors import Cancelled, InputError, NoFace, OutOfMemory, Overdue, StoreError, TroupeError, WorkerLost


def role(workers: int = 1, name: str = "play") -> Role:
    return Role(name, object, workers=workers)


def item(key: object, **attributes: object) -> WorkItem:
    return WorkItem(str(key), method=PlanWorker.act, **({"role": "play"} | attributes))  # type: ignore[arg-type]


def fates(**ends: TroupeError | str) -> Fate:
    """Make these items always end like this; all others succeed."""
    return lambda item, _call: ends.get(item.key)


def order(simulation: Simulation) -> list[str]:
    return [key for *_, key in sorted(simulation.log)]


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


class TestStop:
    def test_stopping_cancels_waiting_items_and_lets_the_running_end(self) -> None:
        simulation = Simulation([role(1), role(1, "prepare")], fates(busy=StoreError("busy")))
        items = [item("running", cost=4), item("ahead", cost=3), *(item(i, cost=2) for i in range(20))]
        simulation.run([*items, item("busy", role="prepare"), item("later", needs=("busy",))], until=3)
        scheduler = simulation.scheduler
        scheduler.stop()
        assert scheduler.next_deadline() is None, "nothing is retried"
        simulation.execute()
        assert scheduler.busy
        assert "running" not in simulation.ended
        simulation.run([item("too late")])
        assert simulation.ended.pop("running") is None
        assert all(isinstance(error, Cancelled) for error in simulation.ended.values())
        assert len(simulation.ended) == 24
        assert not scheduler.busy
        assert {key for *_, key in simulation.log} == {"busy", "running"}

    def test_stopping_recalls_items_sent_ahead(self) -> None:
        simulation = Simulation([role()])
        simulation.run([item(i) for i in range(9)], until=0)
        simulation.scheduler.stop()
        commands = simulation.scheduler.decide(0)
        assert [order.key for order in commands if isinstance(order, RecallItem)] == ["1"]
        finished = {order.key: order.error for order in commands if isinstance(order, ResolveItem)}
        assert finished.keys() == {str(i) for i in range(1, 9)}
        assert all(key in str(error) for key, error in finished.items()), "each is cancelled for itself"

    def test_a_retry_or_a_death_after_the_stop_is_a_cancellation(self) -> None:
        errors: dict[str, TroupeError | str] = {
            "a": StoreError("busy"),
            "b": OutOfMemory("full"),
            "c": "die",
            "d": NoFace("nobody"),
        }
        simulation = Simulation([role(4)], fates(**errors))
        simulation.run([item(key) for key in errors], until=0)
        simulation.scheduler.stop()
        ended = simulation.run([])
        assert [type(ended[key]) for key in "abcd"] == [Cancelled, Cancelled, Cancelled, NoFace]

    def test_cancel_all_leaves_nothing(self) -> None:
        simulation = Simulation([role(2)])
        simulation.run([item(i) for i in range(9)], until=0)
        simulation.scheduler.cancel_all()
        simulation.execute()
        assert all(isinstance(error, Cancelled) for error in simulation.ended.values())
        assert len(simulation.ended) == 9
        assert simulation.run([]) == simulation.ended
        assert not simulation.log

    def test_without_workers_every_item_fails(self) -> None:
        error = TroupeError("Ray does not start")
        simulation = Simulation([role(2), role(1, "prepare")], start=1)
        simulation.run([item("a"), item("b", role="prepare"), item("c", needs=("a",))], until=0)
        simulation.scheduler.handle(NoWorkers(error), 0)
        assert simulation.run([item("d")]) == dict.fromkeys("abcd", error)


def test_invalid_items_and_roles_are_rejected() -> None:
    with pytest.raises(ValueError, match="finite"):
        item("a", cost=math.nan)
    with pytest.raises(ValueError, match="more than 0 seconds"):
        item("a", timeout=0)
    with pytest.raises(ValueError, match="at least one worker"):
        role(0)


@settings(max_examples=200, deadline=None)
@given(plan=plans(), workers=st.integers(1, 4), ahead=st.integers(0, 1), start=st.floats(0, 20))
def test_every_item_ends_as_planned(plan: Plan, workers: int, ahead: int, start: float) -> None:
    simulation = Simulation([role(workers), role(workers, "prepare")], plan.fate, ahead=ahead, start=start)
    ended = simulation.run(plan.items)
    kinds = plan.expected()
    assert ended.keys() == kinds.keys()
    for key, error in ended.items():
        assert kind(error) in kinds[key]
    assert simulation.max_queue <= 1 + ahead
    assert not simulation.scheduler.busy
