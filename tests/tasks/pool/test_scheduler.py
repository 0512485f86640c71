"""The scheduler's decisions, on simulated workers and a counted clock."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.pool.messages import NoWorkers, RecallItem, ResolveItem
from tests.tasks.pool.plans import Plan, kind, plans
from tests.tasks.pool.simulation import Simulation, fates, item, role
from troupe.errors import Cancelled, NoFace, OutOfMemory, StoreError, TroupeError


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

    def test_all_that_a_worker_runs_at_once_may_end(self) -> None:
        simulation = Simulation([role(concurrency=2)])
        simulation.run([item(i) for i in range(9)], until=0)
        simulation.scheduler.stop()
        ended = simulation.run([])
        assert {key for key, error in ended.items() if error is None} == {"0", "1"}

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
@given(
    plan=plans(),
    workers=st.integers(1, 4),
    ahead=st.integers(0, 1),
    concurrency=st.integers(1, 3),
    start=st.floats(0, 20),
)
def test_every_item_ends_as_planned(plan: Plan, workers: int, ahead: int, concurrency: int, start: float) -> None:
    roles = [role(workers, concurrency=concurrency), role(workers, "prepare")]
    simulation = Simulation(roles, plan.fate, ahead=ahead, start=start)
    ended = simulation.run(plan.items)
    kinds = plan.expected()
    assert ended.keys() == kinds.keys()
    for key, error in ended.items():
        assert kind(error) in kinds[key]
    assert simulation.max_queue <= max(1 + ahead, concurrency)
    assert not simulation.scheduler.busy
