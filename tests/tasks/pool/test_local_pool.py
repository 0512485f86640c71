"""The in-process pool, which runs the same loop and scheduler as the Ray pool."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import wait
from random import Random

import pytest
from hypothesis import given, settings

from tasks.pool import LocalPool, Role, WorkItem
from tasks.pool.base import _AwakeClock
from tests.tasks.pool.counts import Counts
from tests.tasks.pool.plans import Plan, PlanWorker, kind, plans
from tests.tasks.pool.simulation import Simulation
from tests.tasks.pool.workers import Puppet, Unmade
from troupe.errors import Cancelled, NoFace, OutOfMemory, TroupeError, WeightsError, WorkerLost
from troupe.progress import Progress

PUPPET = Role("puppet", Puppet)


@pytest.fixture(autouse=True, scope="module")
def _impatient() -> Iterator[None]:
    """Retry without a pause."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.pool.scheduler.BACKOFF", 0.0)
        yield


class Gate:
    """A worker whose method blocks until the test opens the gate.

    Attributes:
        entered: set when the method has started.
        open: lets the method return.
    """

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def pass_through(self) -> str:
        """Block until the gate is open."""
        self.entered.set()
        assert self.open.wait(20)
        return "through"


def test_results_and_one_worker_per_role() -> None:
    with LocalPool([PUPPET, Role("other", Puppet)]) as pool:
        counts = Counts(pool._scheduler)
        futures = [
            pool.submit(WorkItem(f"{role}{i}", role, Puppet.count)) for i in range(5) for role in ("puppet", "other")
        ]
        assert [future.result() for future in futures] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
        assert counts.calls == 10
        assert counts.workers_started == 2


def test_workers_that_are_started_ahead_are_used_and_closed() -> None:
    with LocalPool([PUPPET, Role("other", Puppet)]) as pool:
        counts = Counts(pool._scheduler)
        with pytest.raises(ValueError, match="unknown role 'third'"):
            pool.start_workers("third", 1)
        pool.start_workers("puppet", 2)
        assert pool.submit(WorkItem("a", "puppet", Puppet.count)).result() == 0
        assert counts.workers_started == 1
    pool.start_workers("other", 1)
    assert counts.workers_started == 1


def test_a_key_is_executed_once_even_after_it_is_done() -> None:
    with LocalPool([PUPPET]) as pool:
        counts = Counts(pool._scheduler)
        first = pool.submit(WorkItem("a", "puppet", Puppet.count))
        assert pool.submit(WorkItem("a", "puppet", Puppet.count)) is first
        assert first.result() == 0
        assert pool.submit(WorkItem("a", "puppet", Puppet.no_face)) is first
        assert counts.calls == pool.attempts("a") == 1
        assert pool.attempts("never") == 0


def test_a_forgotten_key_is_executed_again() -> None:
    with LocalPool([PUPPET]) as pool:
        kept = pool.submit(WorkItem("a", "puppet", Puppet.count))
        assert kept.result() == 0
        pool.forget("a")
        assert pool.attempts("a") == 0
        assert pool.submit(WorkItem("a", "puppet", Puppet.count)).result() == 1


def test_errors_keep_their_class_and_fail_dependants() -> None:
    with LocalPool([PUPPET]) as pool:
        failed = pool.submit(WorkItem("a", "puppet", Puppet.no_face))
        needing = pool.submit(WorkItem("b", "puppet", Puppet.count, needs=("a",)))
        assert type(failed.exception()) is NoFace
        assert needing.exception() is failed.exception()
        late = pool.submit(WorkItem("c", "puppet", Puppet.count, needs=("b",)))
        assert late.exception() is failed.exception()


def test_a_bug_is_reported_with_its_traceback() -> None:
    with LocalPool([PUPPET]) as pool:
        error = pool.submit(WorkItem("a", "puppet", Puppet.bug)).exception()
        assert type(error) is TroupeError
        assert "a: bug failed: KeyError: 'b'" in str(error)
        assert 'return {"a": 1}["b"]' in str(error)
        assert "KeyError" in str(pool.submit(WorkItem("b", "puppet", Puppet.bug)).exception()), "the worker survives"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), OutOfMemory),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), OutOfMemory),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), WorkerLost),
        (RuntimeError("shapes differ"), TroupeError),
    ],
)
def test_device_errors_are_translated(error: Exception, kind: type[TroupeError]) -> None:
    class Device:
        def fail(self) -> None:
            raise error

    with LocalPool([Role("device", Device)]) as pool:
        assert type(pool.submit(WorkItem("a", "device", Device.fail)).exception()) is kind


def test_a_failing_constructor_fails_only_its_role() -> None:
    with LocalPool([PUPPET, Role("unmade", Unmade, ("unet.pth",))]) as pool:
        counts = Counts(pool._scheduler)
        futures = [pool.submit(WorkItem(str(i), "unmade", Unmade.act)) for i in range(3)]
        futures.append(pool.submit(WorkItem("needing", "puppet", Puppet.count, needs=("1",))))
        errors = {future.exception() for future in futures}
        assert len(errors) == 1
        error = errors.pop()
        assert isinstance(error, WeightsError)
        assert error.problems == ("unet.pth",)
        assert pool.submit(WorkItem("later", "unmade", Unmade.act)).exception() is error
        assert pool.submit(WorkItem("other", "puppet", Puppet.count)).result() == 0
        assert counts.workers_started == 2


def test_invalid_items_are_rejected_on_submit() -> None:
    with LocalPool([PUPPET]) as pool:
        with pytest.raises(ValueError, match="unknown role 'stranger'"):
            pool.submit(WorkItem("a", "stranger", Puppet.count))
        with pytest.raises(ValueError, match="needs b, which was not submitted"):
            pool.submit(WorkItem("a", "puppet", Puppet.count, needs=("b",)))
        assert pool.submit(WorkItem("a", "puppet", Puppet.count)).result() == 0
    with pytest.raises(ValueError, match="role names must differ"):
        LocalPool([PUPPET, PUPPET])


@pytest.mark.parametrize("by_event", [True, False])
def test_stopping_cancels_items_that_wait_or_do_not_end(by_event: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.pool.base.GRACE", 0.05)
    monkeypatch.setattr("tasks.pool.base._CLOSE_TIMEOUT", 0.05)
    gate, stop = Gate(), threading.Event()
    pool = LocalPool([Role("gate", lambda: gate)], stop)
    running = pool.submit(WorkItem("running", "gate", Gate.pass_through))
    waiting = pool.submit(WorkItem("waiting", "gate", Gate.pass_through))
    needing = pool.submit(WorkItem("needing", "gate", Gate.pass_through, needs=("waiting",)))
    assert gate.entered.wait(20)
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


def test_results_within_the_grace_are_kept() -> None:
    gate = Gate()
    pool = LocalPool([Role("gate", lambda: gate)])
    running = pool.submit(WorkItem("running", "gate", Gate.pass_through))
    waiting = pool.submit(WorkItem("waiting", "gate", Gate.pass_through))
    assert gate.entered.wait(20)
    threading.Timer(0.1, gate.open.set).start()
    pool.stop()
    assert running.result() == "through"
    assert isinstance(waiting.exception(), Cancelled)


def test_draining_lets_running_items_end_and_may_be_cut_short() -> None:
    for cut in (False, True):
        gate, stop = Gate(), threading.Event()
        pool = LocalPool([Role("gate", lambda gate=gate: gate)], stop)
        running = pool.submit(WorkItem("running", "gate", Gate.pass_through))
        waiting = pool.submit(WorkItem("waiting", "gate", Gate.pass_through))
        assert gate.entered.wait(20)
        threading.Thread(target=pool.drain, daemon=True).start()
        assert isinstance(waiting.exception(20), Cancelled)
        assert not running.done()
        (stop if cut else gate.open).set()
        assert (running.exception(20) is None) is not cut
        gate.open.set()
        pool.close()


def test_a_callback_may_submit_and_stop() -> None:
    pool = LocalPool([PUPPET])
    counts = Counts(pool._scheduler)
    second = threading.Event()

    def submit_another(_future: object) -> None:
        pool.submit(WorkItem("b", "puppet", Puppet.count)).add_done_callback(finish)

    def finish(_future: object) -> None:
        pool.stop()
        second.set()

    pool.submit(WorkItem("a", "puppet", Puppet.count)).add_done_callback(submit_another)
    assert second.wait(20)
    pool.close()
    assert counts.calls == 2


def test_the_clock_excludes_time_while_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([100.0, 100.2, 104.0, 1000.0, 1000.25])
    monkeypatch.setattr("tasks.pool.base.time.monotonic", lambda: next(times))
    clock = _AwakeClock()
    assert [clock.now() for _ in range(4)] == pytest.approx([100.2, 104.0, 104.0, 104.25])


def test_a_pool_without_items_starts_nothing() -> None:
    threads = threading.active_count()
    with LocalPool([PUPPET]) as pool:
        counts = Counts(pool._scheduler)
        assert threading.active_count() == threads
        assert counts.workers_started == 0


def test_submitting_from_many_threads() -> None:
    with LocalPool([PUPPET]) as pool:
        keys = [[str(Random(i).randrange(50)) for _ in range(50)] for i in range(4)]
        threads = [
            threading.Thread(
                target=lambda own: [pool.submit(WorkItem(key, "puppet", Puppet.count)) for key in own], args=(own,)
            )
            for own in keys
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        different = {key for own in keys for key in own}
        results = [pool.submit(WorkItem(key, "puppet", Puppet.count)).result() for key in different]
        assert sorted(results) == list(range(len(different)))


@settings(max_examples=60, deadline=None)
@given(plan=plans())
def test_both_pools_end_every_item_alike(plan: Plan) -> None:
    """The Ray pool's workers are simulated: two per role, and one item sent ahead."""
    kinds = plan.expected()
    roles = [Role(name, PlanWorker, (plan, Counter[str]()), workers=2) for name in ("play", "prepare")]
    with LocalPool(roles) as pool:
        futures = {item.key: pool.submit(item) for item in plan.items}
        assert not wait(futures.values(), timeout=20).not_done
    simulated = Simulation(roles, plan.fate).run(plan.items)
    for key, future in futures.items():
        assert kind(future.exception()) in kinds[key]
        if len(kinds[key]) == 1:
            assert kind(simulated[key]) == kind(future.exception())
        if not future.exception():
            assert future.result() == key


def test_progress_of_an_item() -> None:
    reported: list[Progress] = []
    with LocalPool([PUPPET], on_progress=reported.append) as pool:
        pool.submit(WorkItem("key", "puppet", Puppet.report, label="a name")).result()
    assert [str(progress) for progress in reported] == ["a name: working 1/2 steps"]
