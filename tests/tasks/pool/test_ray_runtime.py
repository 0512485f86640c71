"""Start and stop of Ray by a pool, in processes that have no Ray yet."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.tasks.pool.workers import eventually

ROOT = Path(__file__).parents[3]

OWN = """
import os, signal, sys, tempfile, threading
from pathlib import Path
for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
    os.environ.pop(name, None)
sys.path.insert(0, sys.argv[1])
import psutil
from tasks.pool import RayPool, Role, WorkItem
from tests.tasks.pool.workers import Puppet
assert "ray" not in sys.modules
handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
folder = tempfile.TemporaryDirectory(prefix="tp-", dir="/tmp")  # a short name: Ray's sockets are in it
with folder as name, RayPool([Role("puppet", Puppet, workers=3, cpus=2)], folder=Path(name)) as pool:
    assert pool.submit(WorkItem("kept", "puppet", Puppet.count)).result() == 0
    assert list(Path(name).iterdir())
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = [c.laddr.ip for p in processes for c in p.net_connections("inet") if c.status == "LISTEN"]
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}, listening
    assert [pool.submit(WorkItem(str(i), "puppet", Puppet.count, cost=9 - i)).result() for i in range(2)] == [1, 2]
    error = repr(pool.submit(WorkItem("killer", "puppet", Puppet.die, ("segfault",))).exception())
    assert "WorkerLost" in error and "Fatal Python error: Segmentation fault at File" in error, error
assert not Path(name).exists()
with RayPool([Role("puppet", Puppet, gpus=99)]) as pool:
    assert "need 99 GPUs" in repr(pool.submit(WorkItem("a", "puppet", Puppet.count)).exception())
import ray
assert not ray.is_initialized()
assert handlers == [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
assert not psutil.Process().children(recursive=True)
assert threading.enumerate() == [threading.main_thread()]
print("fine")
"""

JOINED = """
import os, signal, sys
from tasks.pool import RayPool, Role, WorkItem
from tasks.pool.ray_pool import cluster_nodes
from tests.tasks.pool.workers import Puppet
terms = []
signal.signal(signal.SIGTERM, lambda number, frame: terms.append(number))
print([node.cpus for node in cluster_nodes(sys.argv[1])])
with RayPool([Role("puppet", Puppet)], sys.argv[1]) as pool:
    print(pool.submit(WorkItem("a", "puppet", Puppet.count)).result())
    os.kill(os.getpid(), signal.SIGTERM)
os.kill(os.getpid(), signal.SIGTERM)
print(len(terms))
"""

HALF_STARTED = """
import atexit, logging, time
# What Ray's start, on a thread of its own, logs when its processes are ended; called last.
atexit.register(lambda: logging.getLogger("ray._private.services").error("Failed to start the dashboard"))
from tasks.pool import RayPool, Role, WorkItem
from tests.tasks.pool.counts import Counts
from tests.tasks.pool.workers import Puppet
pool = RayPool([Role("puppet", Puppet)])
counts = Counts(pool._scheduler)
future = pool.submit(WorkItem("a", "puppet", Puppet.count))
while not counts.workers_started:
    time.sleep(0.01)
time.sleep(1)
pool.stop()
print(type(future.exception()).__name__)
"""


ENDED = """
import atexit, os, sys, threading, time
import psutil
from tasks.pool import RayPool, Role, WorkItem
from tests.tasks.pool.workers import Puppet
pool = RayPool([Role("puppet", Puppet)])
pool.submit(WorkItem("a", "puppet", Puppet.count)).result()
future = pool.submit(WorkItem("b", "puppet", Puppet.sleep, (600,)))
began = time.monotonic()
next(p for p in psutil.Process().children() if p.name() == "gcs_server").kill()
print(future.exception(30))
pool.close()
atexit._run_exitfuncs()
print(time.monotonic() - began < 15, flush=True)
os._exit(0)  # as the command line does
"""


def run(program: str, *arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process that has no Ray yet."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.long
def test_a_ray_of_its_own_is_quiet_and_leaves_nothing(tmp_path: Path) -> None:
    done = run(OWN, str(ROOT), cwd=tmp_path, HOME=str(tmp_path))
    assert (done.stdout, done.returncode) == ("fine\n", 0), done.stderr
    assert not (tmp_path / ".ray").exists(), "a token that later clusters of this user would expect"
    assert all("died" in line for line in done.stderr.splitlines()), "only the pool's own log lines"


@pytest.mark.long
def test_a_ray_that_is_stopped_from_outside_ends_the_items(tmp_path: Path) -> None:
    """Every call of Ray's blocks then, and Ray ends the process after a minute."""
    done = run(ENDED)
    error, in_time = done.stdout.splitlines()
    assert error.startswith("Ray has died or was stopped on this machine")
    assert in_time == "True", done.stderr


def test_joining_a_cluster(ray_session: str) -> None:
    """Ray's shutdown, and its start, put handlers of SIGTERM of their own in place."""
    done = run(JOINED, ray_session)
    assert (done.stdout, done.returncode) == ("[2.0]\n0\n2\n", 0), done.stderr


def test_stopping_while_ray_starts_leaves_nothing(tmp_path: Path) -> None:
    def left() -> bool:
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("TROUPE_TEST_MARK") == str(tmp_path):
                    return True
        return False

    done = run(HALF_STARTED, TROUPE_TEST_MARK=str(tmp_path))
    assert (done.stdout, done.returncode) == ("Cancelled\n", 0), done.stderr
    assert "dashboard" not in done.stderr
    assert eventually(lambda: not left())


def test_workers_do_not_import_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.pool.ray_runtime import job_config

    def import_path() -> list[str]:
        config: Any = job_config()
        config._py_driver_sys_path.extend(["/scripts", str(Path.cwd())])  # what Ray adds
        return list(config._get_proto_job_config().py_driver_sys_path)

    monkeypatch.chdir(tmp_path)
    assert import_path() == ["/scripts"]
    monkeypatch.chdir(ROOT)
    assert import_path() == ["/scripts", str(ROOT)], "a checkout that is not installed"
