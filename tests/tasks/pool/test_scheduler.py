"""The pool's decisions, on simulated workers and a counted clock."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.pool.messages import Broken, Finish, Recall
from tasks.pool.scheduler import BACKOFF, TRIES
from tasks.pool.work_item import Role, WorkItem
from tests.tasks.pool.plans import Plan, Player, kind, plans
from tests.tasks.pool.simulation import Fate, Simulation
from troupe.errors import Cancelled, InputError, NoFace, OutOfMemory, Overdue, StoreError, TroupeError, WorkerLost


def role(workers: int = 1, name: str = "play") -> Role:
    return Role(name, object, workers=workers)


def work(key: object, **attributes: object) -> WorkItem:
    return WorkItem(str(key), method=Player.act, **({"role": "play"} | attributes))  # type: ignore[arg-type]


def fates(**ends: TroupeError | str) -> Fate:
    """Works that always end like this; all others end well."""
    return lambda work, _call: ends.get(work.key)


def order(simulation: Simulation) -> list[str]:
    return [key for *_, key in sorted(simulation.log)]


class TestOrder:
    def test_the_longest_begins_first_and_among_equals_the_first_submitted(self) -> None:
        simulation = Simulation([role()])
        simulation.run([work(i, cost=cost) for i, cost in enumerate((1, 5, 3, 5, 0))])
        assert order(simulation) == ["1", "3", "2", "0", "4"]

    def test_what_is_needed_comes_first(self) -> None:
        simulation = Simulation([role(2), role(1, "prepare")])
        simulation.run(
            [
                work("motion", role="prepare", cost=1),
                work("appearance", role="prepare", cost=2),
                work("render", needs=("motion", "appearance", "motion"), cost=10),
                work("other", cost=1),
            ]
        )
        assert order(simulation)[-1] == "render"
        assert simulation.now == 13

    def test_a_worker_keeps_to_what_it_holds(self) -> None:
        simulation = Simulation([role(2)])
        simulation.run([work((hold, i), affinity_key=hold, cost=2 - i / 9) for i in range(9) for hold in "ab"])
        players = {hold: {worker for *_, worker, key in simulation.log if hold in key} for hold in "ab"}
        assert all(len(workers) == 1 for workers in players.values())
        assert players["a"] != players["b"]

    def test_an_idle_worker_steals_rather_than_starves(self) -> None:
        simulation = Simulation([role(4)])
        simulation.run([work(i, affinity_key="a") for i in range(40)])
        assert simulation.now == 10

    def test_a_busy_holder_is_not_robbed_while_there_is_other_work(self) -> None:
        simulation = Simulation([role(2)])
        simulation.run(
            [work("long", affinity_key="a", cost=10), work("rest", affinity_key="a"), *(work(i) for i in range(9))]
        )
        workers = {key: worker for *_, worker, key in simulation.log}
        assert all(workers[str(i)] != workers["long"] for i in range(9))
        assert order(simulation)[-1] == "rest", "it went to the other worker, when that had nothing else"
        assert simulation.now == 10

    def test_what_a_dead_worker_held_is_free_again(self) -> None:
        def once(work: WorkItem, call: int) -> str | None:
            return "die" if work.key == "a" and not call else None

        simulation = Simulation([role(1)], once)
        assert simulation.run([work("a", affinity_key="x", cost=9), work("b", affinity_key="x")]) == {
            "a": None,
            "b": None,
        }

    def test_at_most_one_work_is_sent_ahead(self) -> None:
        simulation = Simulation([role(3)])
        simulation.run([work(i) for i in range(100)])
        assert simulation.most == 2
        assert simulation.now == math.ceil(100 / 3)

    def test_nothing_waits_behind_a_long_work_while_somebody_is_idle(self) -> None:
        simulation = Simulation([role(2)])
        simulation.run([work("long", cost=100), *(work(i, cost=10) for i in range(5))])
        assert simulation.now == 100

    def test_workers_start_only_as_they_are_needed(self) -> None:
        simulation = Simulation([role(5), role(5, "unused")], start=1)
        simulation.run([work(1), work(2), work(3, needs=("1",))])
        assert simulation.started == {"play": 2}
        assert simulation.scheduler.stats.workers_started == 2

    def test_a_long_work_begins_in_time_whoever_holds_it(self) -> None:
        simulation = Simulation([role(2)])
        work_items = [work("first", affinity_key="a", cost=12), work("second", affinity_key="a", cost=11)]
        simulation.run([*work_items, *(work(i) for i in range(4))])
        assert simulation.now == 14

    def test_works_that_trickle_in_stay_with_their_holders(self) -> None:
        """They are not the last ones: what is not ready yet counts as left."""
        simulation = Simulation([role(2), role(1, "prepare")])
        clips = [work(f"clip{i}", role="prepare", cost=2) for i in range(20)]
        renders = [
            work(f"render{i}", needs=(f"clip{i}",), affinity_key="ab"[i % 2], cost=3 + i / 20) for i in range(20)
        ]
        simulation.run([*clips, *renders])
        workers = {i: worker for *_, worker, key in simulation.log for i in range(20) if key == f"render{i}"}
        assert len({workers[i] for i in range(0, 16, 2)}) == 1
        assert len({workers[i] for i in range(1, 16, 2)}) == 1

    def test_preparation_keeps_within_its_bound(self) -> None:
        """A clip is prepared only while fewer than three renders could begin: no worker waits, none is far behind."""
        simulation = Simulation([role(), Role("prepare", object, backpressure_limit=3)])
        clips = [work(f"clip{i}", role="prepare", cost=1) for i in range(12)]
        simulation.run([*clips, *(work(f"render{i}", needs=(f"clip{i}",), cost=4) for i in range(12))])
        assert simulation.now == 1 + 12 * 4
        begun = {key: start for start, _, _, key in simulation.log}
        for i in range(12):
            prepared = sum(begun[f"clip{j}"] <= begun[f"clip{i}"] for j in range(12))
            rendered = sum(begun[f"render{j}"] <= begun[f"clip{i}"] for j in range(12))
            assert prepared - rendered <= 3 + 2  # what is being prepared, and what is rendered or sent ahead

    @pytest.mark.parametrize("identities", [0, 50, 400])
    def test_many_workers_are_used_well(self, identities: int) -> None:
        random = Random(7)
        work_items = [
            work(
                i,
                cost=random.lognormvariate(0, 1),
                affinity_key=str(random.randrange(identities)) if identities else "",
            )
            for i in range(4000)
        ]
        simulation = Simulation([role(64)])
        simulation.run(work_items)
        optimum = max(math.fsum(work.cost for work in work_items) / 64, max(work.cost for work in work_items))
        assert optimum / simulation.now >= 0.95


class TestErrors:
    def test_bad_input_fails_its_work_alone(self) -> None:
        error = NoFace("nobody there")
        simulation = Simulation([role(2)], fates(b=error))
        assert simulation.run([work("a"), work("b"), work("c")]) == {"a": None, "b": error, "c": None}
        assert simulation.scheduler.attempts("b") == 1

    def test_a_failed_need_fails_all_that_depends_on_it_with_the_same_error(self) -> None:
        error = InputError("no")
        simulation = Simulation([role()], fates(a=error))
        simulation.run([work("a"), work("b", needs=("a",))])
        ended = simulation.run([work("c", needs=("b",)), work("d")])
        assert ended == {"a": error, "b": error, "c": error, "d": None}
        assert simulation.scheduler.attempts("c") == 0

    def test_store_trouble_is_tried_again_later_while_other_work_goes_on(self) -> None:
        def trouble(work: WorkItem, call: int) -> TroupeError | None:
            return StoreError("busy") if work.key == "a" and call < TRIES - 1 else None

        simulation = Simulation([role()], trouble)
        ended = simulation.run([work("a", cost=2), *(work(i) for i in range(10))])
        assert set(ended.values()) == {None}
        first, second, third = [start for start, _, _, key in sorted(simulation.log) if key == "a"]
        assert second - (first + 2) >= BACKOFF / 2
        assert third - (second + 2) >= BACKOFF
        assert simulation.scheduler.stats.retries == TRIES - 1

    def test_store_trouble_that_stays_fails(self) -> None:
        error = StoreError("gone")
        simulation = Simulation([role()], fates(a=error))
        assert simulation.run([work("a"), work("b", needs=("a",))]) == {"a": error, "b": error}
        assert simulation.scheduler.attempts("a") == TRIES

    def test_a_killer_is_found_and_nobody_else_is_blamed(self) -> None:
        simulation = Simulation([role(2)], fates(killer="die"))
        ended = simulation.run([*(work(i) for i in range(50)), work("killer", cost=0.5)])
        error = ended.pop("killer")
        assert isinstance(error, WorkerLost)
        assert "killer" in error.message
        assert "2 times" in error.message
        assert set(ended.values()) == {None}
        assert simulation.scheduler.stats.workers_lost == 2
        assert sum(simulation.scheduler.attempts(str(i)) > 1 for i in range(50)) <= 1, "only a suspect runs again"

    def test_a_work_without_end_is_tried_again_alone_and_then_fails(self) -> None:
        simulation = Simulation([role()], fates(stuck="hang"))
        ended = simulation.run([work("stuck", cost=2, timeout=9), work("other", timeout=9)])
        error = ended.pop("stuck")
        assert isinstance(error, Overdue)
        assert "no end after 9 s, 2 workers" in error.message
        assert ended == {"other": None}
        assert simulation.now == 9 + 9 + 1
        assert simulation.scheduler.attempts("other") <= 2
        assert simulation.scheduler.stats.workers_lost == 0

    def test_time_counts_from_when_a_work_begins(self) -> None:
        simulation = Simulation([role()])
        assert set(simulation.run([work(i, cost=5, timeout=6) for i in range(9)]).values()) == {None}

    def test_nobody_is_blamed_for_a_node_that_goes(self) -> None:
        def node(work: WorkItem, call: int) -> str | None:
            return "node" if work.key == "a" and call < 3 else None

        simulation = Simulation([role()], node)
        assert set(simulation.run([work("a"), work("b")]).values()) == {None}
        simulation = Simulation([role()], fates(a="node"))
        assert isinstance(simulation.run([work("a"), work("b")])["a"], WorkerLost), "but not forever"

    def test_suspects_of_many_deaths_at_once(self) -> None:
        fate = fates(**{f"killer{i}": "die" for i in range(4)})
        simulation = Simulation([role(4)], fate, start=5)
        ended = simulation.run([*(work(f"killer{i}", cost=2) for i in range(4)), *(work(i) for i in range(30))])
        assert sum(isinstance(error, WorkerLost) for error in ended.values()) == 4
        assert sum(error is None for error in ended.values()) == 30

    def test_a_death_that_does_not_repeat_costs_nothing_but_time(self) -> None:
        def once(work: WorkItem, call: int) -> str | None:
            return "die" if work.key == "a" and not call else None

        assert Simulation([role()], once).run([work("a"), work("b")]) == {"a": None, "b": None}

    def test_out_of_memory_is_tried_once_more_on_a_fresh_process(self) -> None:
        def full(work: WorkItem, call: int) -> TroupeError | None:
            return OutOfMemory("full") if work.key == "a" and not call else None

        simulation = Simulation([role(2)], full)
        assert set(simulation.run([work("a", cost=0.5), *(work(i) for i in range(9))]).values()) == {None}
        assert simulation.scheduler.attempts("a") == 2
        assert simulation.scheduler.stats.workers_lost == 0

    def test_a_used_worker_makes_room_for_a_fresh_one_where_there_is_no_other_way(self) -> None:
        calls = iter([None, "die", None, OutOfMemory("full"), None])
        simulation = Simulation([role(1)], lambda _work, _call: next(calls))
        assert simulation.run([work(1, cost=3), work(2, cost=2), work(3)]) == {"1": None, "2": None, "3": None}

    def test_memory_that_never_suffices_is_reported(self) -> None:
        error = OutOfMemory("full")
        simulation = Simulation([role(2)], fates(a=error))
        assert simulation.run([work("a"), work("b")]) == {"a": error, "b": None}
        assert simulation.scheduler.attempts("a") == 2


class TestEnd:
    def test_stopping_cancels_what_waits_and_lets_the_running_end(self) -> None:
        simulation = Simulation([role(1), role(1, "prepare")], fates(busy=StoreError("busy")))
        work_items = [work("running", cost=4), work("ahead", cost=3), *(work(i, cost=2) for i in range(20))]
        simulation.run([*work_items, work("busy", role="prepare"), work("later", needs=("busy",))], until=3)
        scheduler = simulation.scheduler
        scheduler.stop()
        assert scheduler.wake() is None, "nothing is tried again"
        simulation.turn()
        assert scheduler.busy
        assert "running" not in simulation.ended
        simulation.run([work("too late")])
        assert simulation.ended.pop("running") is None
        assert all(isinstance(error, Cancelled) for error in simulation.ended.values())
        assert len(simulation.ended) == 24
        assert not scheduler.busy
        assert {key for *_, key in simulation.log} == {"busy", "running"}

    def test_what_was_sent_ahead_is_recalled(self) -> None:
        simulation = Simulation([role()])
        simulation.run([work(i) for i in range(9)], until=0)
        simulation.scheduler.stop()
        commands = simulation.scheduler.decide(0)
        assert [order.key for order in commands if isinstance(order, Recall)] == ["1"]
        finished = {order.key: order.error for order in commands if isinstance(order, Finish)}
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
        simulation.run([work(key) for key in errors], until=0)
        simulation.scheduler.stop()
        ended = simulation.run([])
        assert [type(ended[key]) for key in "abcd"] == [Cancelled, Cancelled, Cancelled, NoFace]

    def test_the_end_leaves_nothing(self) -> None:
        simulation = Simulation([role(2)])
        simulation.run([work(i) for i in range(9)], until=0)
        simulation.scheduler.end()
        simulation.turn()
        assert all(isinstance(error, Cancelled) for error in simulation.ended.values())
        assert len(simulation.ended) == 9
        assert simulation.run([]) == simulation.ended
        assert not simulation.log

    def test_no_worker_can_be_had(self) -> None:
        error = TroupeError("Ray does not start")
        simulation = Simulation([role(2), role(1, "prepare")], start=1)
        simulation.run([work("a"), work("b", role="prepare"), work("c", needs=("a",))], until=0)
        simulation.scheduler.take(Broken(error), 0)
        assert simulation.run([work("d")]) == dict.fromkeys("abcd", error)


def test_a_cost_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        work("a", cost=math.nan)
    with pytest.raises(ValueError, match="more than 0 seconds"):
        work("a", timeout=0)
    with pytest.raises(ValueError, match="at least one worker"):
        role(0)


@settings(max_examples=200, deadline=None)
@given(plan=plans(), workers=st.integers(1, 4), ahead=st.integers(0, 1), start=st.floats(0, 20))
def test_every_work_ends_as_it_must_whatever_happens(plan: Plan, workers: int, ahead: int, start: float) -> None:
    simulation = Simulation([role(workers), role(workers, "prepare")], plan.fate, ahead=ahead, start=start)
    ended = simulation.run(plan.work_items)
    kinds = plan.expected()
    assert ended.keys() == kinds.keys()
    for key, error in ended.items():
        assert kind(error) in kinds[key]
    assert simulation.most <= 1 + ahead
    assert not simulation.scheduler.busy
