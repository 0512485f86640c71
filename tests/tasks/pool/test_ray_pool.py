"""The pool on real Ray: what only shows with other processes."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from tasks.pool import RayPool, Role, WorkItem
from tests.tasks.pool.counts import Counts
from tests.tasks.pool.workers import Puppet, Stillborn, Unmade, eventually
from troupe.errors import (
    Cancelled,
    NoFace,
    Overdue,
    SettingsError,
    StoreError,
    TroupeError,
    WeightsError,
    WorkerLost,
)


def puppets(workers: int = 1) -> Role:
    return Role("puppet", Puppet, workers=workers, cpus=1, threads=3)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.usefixtures("ray_session")
class TestItems:
    def test_one_worker_runs_the_longest_first(self) -> None:
        with RayPool([puppets()]) as pool:
            counts = Counts(pool._scheduler)
            first = pool.submit(WorkItem("first", "puppet", Puppet.sleep, (0.2,), cost=9))
            costs = [3, 1, 4, 1.5, 5]
            counted = [pool.submit(WorkItem(f"c{cost}", "puppet", Puppet.count, cost=cost)) for cost in costs]
            needing = pool.submit(WorkItem("needing", "puppet", Puppet.count, needs=("first", "c1"), cost=100))
            assert first.result() is None
            assert [future.result() for future in counted] == [2, 4, 1, 3, 0]
            assert needing.result() == 5
            assert pool.submit(WorkItem("c1", "puppet", Puppet.count)) is counted[1]
            assert counts.workers_started == 1
            assert counts.calls == 7

    def test_two_workers_keep_to_their_affinity_keys(self) -> None:
        with RayPool([puppets(2)]) as pool:
            futures = [
                pool.submit(
                    WorkItem(f"{affinity_key}{i}", "puppet", Puppet.take, (affinity_key,), affinity_key=affinity_key)
                )
                for i in range(20)
                for affinity_key in "ab"
            ]
            switches: dict[int, int] = {}
            for future in futures:
                pid, count = future.result()
                switches[pid] = max(count, switches.get(pid, 0))
            assert sum(switches.values()) <= 4, "each runs one key, and helps with the other at the end"

    def test_a_worker_has_its_threads_and_no_gpu(self) -> None:
        with RayPool([puppets()]) as pool:
            names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
            assert pool.submit(WorkItem("a", "puppet", Puppet.environment, names)).result() == ["3", "3", ""]

    def test_what_a_worker_logs_is_logged_here(self, caplog: pytest.LogCaptureFixture) -> None:
        with RayPool([puppets()]) as pool:
            pool.submit(WorkItem("talk", "puppet", Puppet.say, ("hello",))).result()
        (record,) = [record for record in caplog.records if record.name == "tasks.puppet"]
        assert record.getMessage() == "hello"
        about = record.__dict__["about"]
        assert about["job"] == "talk"
        assert not about["worker"].endswith(f":{os.getpid()}")

    def test_a_worker_that_times_out_is_replaced(self) -> None:
        with RayPool([puppets()]) as pool:
            error = pool.submit(WorkItem("stuck", "puppet", Puppet.sleep, (600,), timeout=0.5)).exception()
            assert isinstance(error, Overdue)
            assert pool.submit(WorkItem("after", "puppet", Puppet.count)).result() == 0

    def test_nothing_is_started_without_items(self) -> None:
        before = set(threading.enumerate())
        with RayPool([puppets()]) as pool:
            counts = Counts(pool._scheduler)
            assert set(threading.enumerate()) == before
            assert counts.workers_started == 0


@pytest.mark.usefixtures("ray_session")
class TestErrors:
    def test_errors_keep_their_class(self) -> None:
        with RayPool([puppets()]) as pool:
            counts = Counts(pool._scheduler)
            bad = pool.submit(WorkItem("bad", "puppet", Puppet.no_face))
            needing = pool.submit(WorkItem("needing", "puppet", Puppet.count, needs=("bad",)))
            assert type(bad.exception()) is NoFace
            assert str(bad.exception()) == "there is nobody in the picture"
            assert needing.exception() is bad.exception()
            listing = pool.submit(WorkItem("listing", "puppet", Puppet.weights)).exception()
            assert isinstance(listing, WeightsError)
            assert listing.problems == ("unet.pth", "vae.pth")
            bug = pool.submit(WorkItem("bug", "puppet", Puppet.bug)).exception()
            assert type(bug) is TroupeError
            assert 'return {"a": 1}["b"]' in str(bug)
            unpicklable = pool.submit(WorkItem("unpicklable", "puppet", Puppet.unpicklable)).exception()
            assert type(unpicklable) is TroupeError
            assert "cannot pickle '_thread.lock'" in str(unpicklable)
            argument = pool.submit(WorkItem("argument", "puppet", Puppet.take, (threading.Lock(),))).exception()
            assert type(argument) is TroupeError
            assert "argument could not be sent" in str(argument)
            assert pool.submit(WorkItem("after", "puppet", Puppet.count)).result() == 0
            assert counts.retries == counts.workers_lost == 0

    def test_store_errors_are_retried(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tasks.pool.scheduler.BACKOFF", 0.1)
        for name in ("once", "always"):
            (tmp_path / name).mkdir()
        with RayPool([puppets()]) as pool:
            once = pool.submit(WorkItem("once", "puppet", Puppet.store, (str(tmp_path / "once"), 1)))
            always = pool.submit(WorkItem("always", "puppet", Puppet.store, (str(tmp_path / "always"), 99)))
            assert once.result() == 1
            assert type(always.exception()) is StoreError
            assert (pool.attempts("once"), pool.attempts("always")) == (2, 3)

    def test_out_of_memory_is_retried_on_a_fresh_process(self) -> None:
        with RayPool([puppets()]) as pool:
            counts = Counts(pool._scheduler)
            pool.submit(WorkItem("first", "puppet", Puppet.count)).result()
            assert isinstance(pool.submit(WorkItem("hungry", "puppet", Puppet.hungry)).result(), int)
            assert counts.workers_started == 2
            assert counts.workers_lost == 0

    @pytest.mark.parametrize("how", ["exit", "segfault"])
    def test_an_item_that_kills_workers_among_thirty(self, how: str) -> None:
        with RayPool([puppets(2)]) as pool:
            counts = Counts(pool._scheduler)
            futures = [pool.submit(WorkItem(str(i), "puppet", Puppet.sleep, (0.01,))) for i in range(30)]
            killer = pool.submit(WorkItem("killer", "puppet", Puppet.die, (how,)))
            assert [future.result() for future in futures] == [None] * 30
            error = killer.exception()
            assert isinstance(error, WorkerLost)
            assert "killer: the worker of role 'puppet' died in die 2 times" in error.message
            assert "(process " in error.message
            assert counts.workers_lost == 2
            assert sum(pool.attempts(str(i)) > 1 for i in range(30)) <= 1, "only a suspect runs again"

    def test_the_children_of_a_killed_worker_die_and_it_is_replaced(self) -> None:
        with RayPool([puppets()]) as pool:
            child = pool.submit(WorkItem("child", "puppet", Puppet.child)).result()
            pid, _ = pool.submit(WorkItem("pid", "puppet", Puppet.take, ("",))).result()
            os.kill(pid, signal.SIGKILL)
            assert eventually(lambda: gone(child))
            assert pool.submit(WorkItem("after", "puppet", Puppet.take, ("",))).result()[0] != pid

    def test_a_failing_constructor_fails_its_role(self) -> None:
        with RayPool([Role("unmade", Unmade, ("unet.pth",), workers=2, cpus=0.5)]) as pool:
            counts = Counts(pool._scheduler)
            errors = {pool.submit(WorkItem(str(i), "unmade", Unmade.act)).exception() for i in range(5)}
            assert len(errors) == 1
            error = errors.pop()
            assert isinstance(error, WeightsError)
            assert error.problems == ("unet.pth",)
            assert counts.calls == 0

    def test_workers_that_die_while_they_start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tasks.pool.scheduler.BACKOFF", 0.1)
        with RayPool([Role("stillborn", Stillborn)]) as pool:
            counts = Counts(pool._scheduler)
            error = pool.submit(WorkItem("a", "stillborn", Stillborn.act)).exception()
            assert isinstance(error, WorkerLost)
            assert "while it started" in error.message
            assert counts.workers_started == counts.workers_lost == 3

    def test_a_suspended_worker_is_reported_and_may_resume(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("tasks.pool.transport._HEALTH_CHECK_INTERVAL", 0.2)
        with RayPool([puppets()]) as pool:
            pid, _ = pool.submit(WorkItem("pid", "puppet", Puppet.take, ("",))).result()
            stopped = pool.submit(WorkItem("stopped", "puppet", Puppet.stop_process))
            assert eventually(lambda: f"role 'puppet' is suspended; `kill -CONT {pid}` resumes it" in caplog.text)
            os.kill(pid, signal.SIGCONT)
            assert stopped.result() == 1
            assert pool.attempts("stopped") == 1
        assert caplog.text.count("is suspended") == 1

    def test_a_worker_that_stays_suspended_is_replaced(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tasks.pool.transport._HEALTH_CHECK_INTERVAL", 0.2)
        monkeypatch.setattr("tasks.pool.ray_transport._SUSPENDED_TIMEOUT", 1.0)
        with RayPool([puppets()]) as pool:
            pid, _ = pool.submit(WorkItem("pid", "puppet", Puppet.take, ("",))).result()
            error = pool.submit(WorkItem("stopped", "puppet", Puppet.stop_process)).exception()
            assert isinstance(error, WorkerLost)
            assert "was suspended and not resumed within 1 s). Something suspends it again and again" in error.message
            assert "memory" not in error.message
            assert eventually(lambda: gone(pid))
            assert pool.submit(WorkItem("after", "puppet", Puppet.count)).result() == 0


@pytest.mark.usefixtures("ray_session")
class TestStop:
    @pytest.mark.parametrize("by_event", [True, False])
    def test_a_sleeping_worker_does_not_delay_the_stop(self, by_event: bool, tmp_path: Path) -> None:
        stop, marks = threading.Event(), [tmp_path / str(i) for i in range(20)]
        pool = RayPool([puppets(2)], stop=stop)
        futures = [pool.submit(WorkItem(mark.name, "puppet", Puppet.sleep, (60, str(mark)))) for mark in marks]
        needing = pool.submit(WorkItem("needing", "puppet", Puppet.count, needs=("0",)))
        pid = pool.submit(WorkItem("pid", "puppet", Puppet.take, ("",), cost=99))
        assert eventually(lambda: sum(mark.exists() for mark in marks) == 2)
        worker, _ = pid.result()
        started = time.monotonic()
        if by_event:
            stop.set()
        else:
            pool.stop()
        for future in (*futures, needing):
            assert isinstance(future.exception(timeout=20), Cancelled)
        pool.close()
        assert time.monotonic() - started < 5
        assert eventually(lambda: gone(worker))
        assert sum(mark.exists() for mark in marks) == 2, "nothing has started since"

    def test_a_ray_client_address_is_rejected(self) -> None:
        with pytest.raises(SettingsError, match="node of the cluster"):
            RayPool([puppets()], "ray://somewhere:10001")
