"""Failures on real Ray: errors of items, and workers that die, hang or are suspended."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from tasks.pool import RayPool, Role, WorkItem
from tests.tasks.pool.counts import Counts
from tests.tasks.pool.workers import Puppet, Stillborn, Unmade, eventually, gone, puppets
from troupe.errors import (
    NoFace,
    StoreError,
    TroupeError,
    WeightsError,
    WorkerLost,
)


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
            assert eventually(lambda: f"stopped: its worker is suspended; `kill -CONT {pid}` resumes it" in caplog.text)
            os.kill(pid, signal.SIGCONT)
            assert stopped.result() == 1
            assert pool.attempts("stopped") == 1
        assert caplog.text.count("is suspended") == 1

    @pytest.mark.long
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
