"""The in-process twin, which runs the loop and the scheduler that the Ray pool runs."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import wait
from random import Random

import pytest
from hypothesis import given, settings

from tasks.pool import LocalPool, Role, WorkItem
from tasks.pool.base import _Clock
from tests.tasks.pool.plans import Plan, Player, kind, plans
from tests.tasks.pool.simulation import Simulation
from tests.tasks.pool.workers import Puppet, Unmade
from troupe.errors import Cancelled, NoFace, OutOfMemory, TroupeError, WeightsError, WorkerLost

PUPPET = Role("puppet", Puppet)


@pytest.fixture(autouse=True, scope="module")
def _impatient() -> Iterator[None]:
    """Retries without the pause."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.pool.scheduler.BACKOFF", 0.0)
        yield


class Gate:
    """Lets a method begin, and says that it has."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.open = threading.Event()

    def pass_through(self) -> str:
        """Wait until the gate is open."""
        self.begun.set()
        assert self.open.wait(20)
        return "through"


def test_results_and_one_worker_a_role() -> None:
    with LocalPool([PUPPET, Role("other", Puppet)]) as pool:
        futures = [
            pool.submit(WorkItem(f"{role}{i}", role, Puppet.count)) for i in range(5) for role in ("puppet", "other")
        ]
        assert [future.result() for future in futures] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
        assert pool.stats.calls == 10
        assert pool.stats.workers_started == 2


def test_one_key_is_done_once_even_when_it_is_over() -> None:
    with LocalPool([PUPPET]) as pool:
        first = pool.submit(WorkItem("a", "puppet", Puppet.count))
        assert pool.submit(WorkItem("a", "puppet", Puppet.count)) is first
        assert first.result() == 0
        assert pool.submit(WorkItem("a", "puppet", Puppet.no_face)) is first
        assert pool.stats.calls == pool.attempts("a") == 1
        assert pool.attempts("never") == 0


def test_what_is_forgotten_is_new_work() -> None:
    with LocalPool([PUPPET]) as pool:
        assert pool.submit(WorkItem("a", "puppet", Puppet.count)).result() == 0
        pool.forget("a")
        assert pool.attempts("a") == 0
        assert pool.submit(WorkItem("a", "puppet", Puppet.count)).result() == 1


def test_errors_keep_their_class_and_pass_to_what_needs_them() -> None:
    with LocalPool([PUPPET]) as pool:
        failed = pool.submit(WorkItem("a", "puppet", Puppet.no_face))
        needing = pool.submit(WorkItem("b", "puppet", Puppet.count, needs=("a",)))
        assert type(failed.exception()) is NoFace
        assert needing.exception() is failed.exception()
        late = pool.submit(WorkItem("c", "puppet", Puppet.count, needs=("b",)))
        assert late.exception() is failed.exception()


def test_a_defect_is_told_with_its_traceback() -> None:
    with LocalPool([PUPPET]) as pool:
        error = pool.submit(WorkItem("a", "puppet", Puppet.defect)).exception()
        assert type(error) is TroupeError
        assert "a: defect failed: KeyError: 'b'" in str(error)
        assert 'return {"a": 1}["b"]' in str(error)
        assert "KeyError" in str(pool.submit(WorkItem("b", "puppet", Puppet.defect)).exception()), "the worker goes on"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), OutOfMemory),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), OutOfMemory),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), WorkerLost),
        (RuntimeError("shapes differ"), TroupeError),
    ],
)
def test_the_arithmetics_errors_are_understood(error: Exception, kind: type[TroupeError]) -> None:
    class Device:
        def fail(self) -> None:
            raise error

    with LocalPool([Role("device", Device)]) as pool:
        assert type(pool.submit(WorkItem("a", "device", Device.fail)).exception()) is kind


def test_a_worker_that_cannot_be_made_fails_its_role_alone() -> None:
    with LocalPool([PUPPET, Role("unmade", Unmade, ("unet.pth",))]) as pool:
        futures = [pool.submit(WorkItem(str(i), "unmade", Unmade.act)) for i in range(3)]
        futures.append(pool.submit(WorkItem("needing", "puppet", Puppet.count, needs=("1",))))
        errors = {future.exception() for future in futures}
        assert len(errors) == 1
        error = errors.pop()
        assert isinstance(error, WeightsError)
        assert error.problems == ("unet.pth",)
        assert pool.submit(WorkItem("later", "unmade", Unmade.act)).exception() is error
        assert pool.submit(WorkItem("other", "puppet", Puppet.count)).result() == 0
        assert pool.stats.workers_started == 2


def test_what_was_asked_wrongly_is_refused_at_once() -> None:
    with LocalPool([PUPPET]) as pool:
        with pytest.raises(ValueError, match="no role 'stranger'"):
            pool.submit(WorkItem("a", "stranger", Puppet.count))
        with pytest.raises(ValueError, match="needs b, which was not submitted"):
            pool.submit(WorkItem("a", "puppet", Puppet.count, needs=("b",)))
        assert pool.submit(WorkItem("a", "puppet", Puppet.count)).result() == 0
    with pytest.raises(ValueError, match="two roles have one name"):
        LocalPool([PUPPET, PUPPET])


@pytest.mark.parametrize("by_event", [True, False])
def test_stopping_cancels_what_waits_and_what_does_not_end(by_event: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.pool.base.GRACE", 0.05)
    monkeypatch.setattr("tasks.pool.base._LEAVE", 0.05)
    gate, stop = Gate(), threading.Event()
    pool = LocalPool([Role("gate", lambda: gate)], stop)
    running = pool.submit(WorkItem("running", "gate", Gate.pass_through))
    waiting = pool.submit(WorkItem("waiting", "gate", Gate.pass_through))
    needing = pool.submit(WorkItem("needing", "gate", Gate.pass_through, needs=("waiting",)))
    assert gate.begun.wait(20)
    if by_event:
        stop.set()
    else:
        pool.stop()
    for future in (waiting, needing, running):
        with pytest.raises(Cancelled):
            future.result(timeout=20)
    gate.open.set()
    pool.close()
    pool.stop()
    for late in (
        WorkItem("late", "gate", Gate.pass_through),
        WorkItem("later", "gate", Gate.pass_through, needs=("late",)),
    ):
        assert isinstance(pool.submit(late).exception(timeout=20), Cancelled)
    assert pool.submit(WorkItem("running", "gate", Gate.pass_through)) is running


def test_what_ends_within_the_grace_is_kept() -> None:
    gate = Gate()
    pool = LocalPool([Role("gate", lambda: gate)])
    running = pool.submit(WorkItem("running", "gate", Gate.pass_through))
    waiting = pool.submit(WorkItem("waiting", "gate", Gate.pass_through))
    assert gate.begun.wait(20)
    threading.Timer(0.1, gate.open.set).start()
    pool.stop()
    assert running.result() == "through"
    assert isinstance(waiting.exception(), Cancelled)


def test_draining_lets_what_runs_end_and_may_be_cut_short() -> None:
    for cut in (False, True):
        gate, stop = Gate(), threading.Event()
        pool = LocalPool([Role("gate", lambda gate=gate: gate)], stop)
        running = pool.submit(WorkItem("running", "gate", Gate.pass_through))
        waiting = pool.submit(WorkItem("waiting", "gate", Gate.pass_through))
        assert gate.begun.wait(20)
        threading.Thread(target=pool.drain, daemon=True).start()
        assert isinstance(waiting.exception(20), Cancelled)
        assert not running.done()
        (stop if cut else gate.open).set()
        assert (running.exception(20) is None) is not cut
        gate.open.set()
        pool.close()


def test_a_callback_may_submit_and_stop() -> None:
    pool = LocalPool([PUPPET])
    second = threading.Event()

    def raise_if_cancelled(_future: object) -> None:
        pool.submit(WorkItem("b", "puppet", Puppet.count)).add_done_callback(finish)

    def finish(_future: object) -> None:
        pool.stop()
        second.set()

    pool.submit(WorkItem("a", "puppet", Puppet.count)).add_done_callback(raise_if_cancelled)
    assert second.wait(20)
    pool.close()
    assert pool.stats.calls == 2


def test_the_clock_leaves_out_that_the_process_was_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([100.0, 100.2, 104.0, 1000.0, 1000.25])
    monkeypatch.setattr("tasks.pool.base.time.monotonic", lambda: next(times))
    clock = _Clock()
    assert [clock.now() for _ in range(4)] == pytest.approx([100.2, 104.0, 104.0, 104.25])


def test_a_pool_without_work_starts_nothing() -> None:
    threads = threading.active_count()
    with LocalPool([PUPPET]) as pool:
        assert threading.active_count() == threads
        assert pool.stats.workers_started == 0


def test_submitting_from_many_threads() -> None:
    with LocalPool([PUPPET]) as pool:
        keys = [[str(Random(i).randrange(50)) for _ in range(50)] for i in range(4)]
        threads = [
            threading.Thread(
                target=lambda mine: [pool.submit(WorkItem(key, "puppet", Puppet.count)) for key in mine], args=(mine,)
            )
            for mine in keys
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        different = {key for mine in keys for key in mine}
        results = [pool.submit(WorkItem(key, "puppet", Puppet.count)).result() for key in different]
        assert sorted(results) == list(range(len(different)))


@settings(max_examples=60, deadline=None)
@given(plan=plans())
def test_both_pools_end_every_work_alike(plan: Plan) -> None:
    """The workers that the Ray pool has are played by the simulation: two a role, and one work ahead."""
    kinds = plan.expected()
    roles = [Role(name, Player, (plan, Counter[str]()), workers=2) for name in ("play", "prepare")]
    with LocalPool(roles) as pool:
        futures = {work.key: pool.submit(work) for work in plan.work_items}
        assert not wait(futures.values(), timeout=20).not_done
    simulated = Simulation(roles, plan.fate).run(plan.work_items)
    for key, future in futures.items():
        assert kind(future.exception()) in kinds[key]
        if len(kinds[key]) == 1:
            assert kind(simulated[key]) == kind(future.exception())
        if not future.exception():
            assert future.result() == key
