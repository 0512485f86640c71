"""The pool on real Ray: what only shows with other processes."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.pool import RayPool, WorkItem
from tests.tasks.pool.counts import Counts
from tests.tasks.pool.workers import Puppet, eventually, gone, puppets
from troupe.errors import (
    Cancelled,
    Overdue,
    SettingsError,
)
from troupe.progress import Progress


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

    def test_a_worker_waits_passively_unless_the_user_wants_otherwise(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
        item = WorkItem("a", "puppet", Puppet.environment, ("OMP_WAIT_POLICY",))
        with RayPool([puppets()]) as pool:
            assert pool.submit(item).result() == ["PASSIVE"]
        monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
        with RayPool([puppets()]) as pool:
            assert pool.submit(item).result() == ["ACTIVE"]

    def test_what_a_worker_logs_is_logged_here(self, caplog: pytest.LogCaptureFixture) -> None:
        with RayPool([puppets()]) as pool:
            pool.submit(WorkItem("talk", "puppet", Puppet.say, ("hello",))).result()
        (record,) = [record for record in caplog.records if record.name == "tasks.puppet"]
        assert record.getMessage() == "hello"
        about = record.__dict__["about"]
        assert about["job"] == "talk"
        assert not about["worker"].endswith(f":{os.getpid()}")

    def test_a_worker_runs_several_items_at_once(self, caplog: pytest.LogCaptureFixture) -> None:
        with RayPool([puppets(concurrency=2)]) as pool:
            for future in [pool.submit(WorkItem(key, "puppet", Puppet.meet, (f"I am {key}",))) for key in "ab"]:
                future.result(60)
        said = [(record.__dict__["about"]["job"], record.getMessage()) for record in caplog.records]
        assert sorted(line for line in said if line[1].startswith("I am")) == [("a", "I am a"), ("b", "I am b")]

    def test_progress_of_an_item(self, tmp_path: Path) -> None:
        mark, reported = tmp_path / "reported", list[Progress]()

        def end(progress: Progress) -> None:
            reported.append(progress)
            mark.touch()

        with RayPool([puppets()], on_progress=end) as pool:
            pool.submit(WorkItem("key", "puppet", Puppet.report, (str(mark),), label="a name")).result(60)
        assert str(reported[0]) == "a name: working 1/2 steps"

    def test_progress_of_a_worker_that_no_node_has_room_for(
        self, ray_session: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tasks.pool.transport._HEALTH_CHECK_INTERVAL", 0.1)
        reported: list[Progress] = []
        with RayPool([replace(puppets(), cpus=3)], ray_session, on_progress=reported.append) as pool:
            pool.submit(WorkItem("a", "puppet", Puppet.count))
            waiting = "puppet: waiting for a node with 3 free CPUs for 1 worker"
            assert eventually(lambda: waiting in map(str, reported)), reported

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
