"""Webhooks under faults: a receiver that fails half the time and is killed, a run that is killed, and senders.

A run of jobs that do nothing commits rows to a store; its driver, which also sends, is killed twice, and so is the
receiver. In the end every event was accepted at least once, with a valid signature. Loopback only; stops by itself.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from random import Random

from catalogs.events import Endpoint, Queue, Retries, add_endpoint, create_secret_file, list_endpoints, read_state
from catalogs.events.queue import Cursor
from catalogs.store.store import Store, open_store
from catalogs.table.audit import append_audit
from catalogs.table.row_buffer import RowBuffer
from tasks.events.sender import FINISH_SECONDS, SHARE, Sender
from tests.faults.harness.seeds import run_seeds

__all__ = ["webhooks"]

QUICK = Retries(first=0.02, longest=0.5)


def drive(url: str, life: int, jobs: int) -> None:
    """Record the rows of a run, and send meanwhile; several processes of this are killed."""
    from tests.catalogs.conftest import row

    store = open_store(url)
    sender = Sender(store, list_endpoints(store), share=SHARE, retries=QUICK)
    sender.start()
    with RowBuffer(store, f"run-{life}") as buffer:
        for number in range(jobs):
            buffer.append(row(f"run-{life}", f"job-{number}"))
            time.sleep(0.002)
    append_audit(store, "run", {"run_id": f"run-{life}", "counts": {"done": jobs}, "manifest_sha256": ""})
    sender.finish(FINISH_SECONDS)
    sender.close()


def webhooks(folder: Path, seed: int, events: int, share: float = 0.5) -> str:
    """One round; what happened, in a line.

    Raises:
        AssertionError: an event was not accepted.
    """
    random, url = Random(seed), str(folder / "store")
    store, secret, log = open_store(url), folder / "secret", folder / "log"
    create_secret_file(secret)
    port = _free_port()
    add_endpoint(store, Endpoint("hook", f"http://127.0.0.1:{port}/", secret_file=str(secret), allow_private=True))
    processes: list[subprocess.Popen[bytes]] = []

    def receive() -> subprocess.Popen[bytes]:
        found = _start("tests.receiver", str(port), str(log), str(secret), str(share))
        processes.append(found)
        return found

    try:
        receiver, killed = receive(), 0
        for life in range(3):
            jobs = events // 2 if life < 2 else events - len(_recorded(store))
            driver = _start("tests.faults.web.webhooks", "--drive", url, str(life), str(jobs))
            processes.append(driver)
            if life < 2:  # both are killed while they work, in either order
                _wait_for(log, _accepted(log) + random.randrange(5, 30), driver)
                for process in random.sample([receiver, driver], 2):
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    time.sleep(random.random() * 0.3)
                receiver, killed = receive(), killed + 1
            else:
                assert driver.wait(120) == 0, f"seed {seed}: the driver failed"
        # Senders that are killed between deliveries, and one that ends.
        for last in (False, False, True):
            sender = Sender(store, list_endpoints(store), retries=QUICK)
            sender.start()
            sender.finish(120 if last else 0.3)
            sender.close()
        recorded = _recorded(store)
        got = Counter(json.loads(line) for line in log.read_text().splitlines())
        state = read_state(store, "hook")
        missing = recorded - got.keys()
        assert not missing, f"seed {seed}: {len(missing)} of {len(recorded)} events were never accepted"
        assert got.keys() == recorded, f"seed {seed}: events that were never recorded"
        assert state.cursor.rows == Queue(store).head().rows, f"seed {seed}: the cursor is behind"
        assert (state.dead_count, state.disabled) == (0, "")
        twice = sum(count - 1 for count in got.values())
        return f"seed {seed}: {len(recorded)} events recorded, all accepted, {twice} of them again; killed: 2 and 2"
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _accepted(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


def _recorded(store: Store) -> set[str]:
    return {event.id for batch in Queue(store).after(Cursor()) for event in batch.events}


def _wait_for(log: Path, accepted: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until that many events were accepted, or the process has ended."""
    end = time.monotonic() + 60
    while _accepted(log) < accepted and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)


def _start(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Some rounds; the exit code is 1 if one fails."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0-2", help="FIRST-LAST, both included")
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--drive", nargs=3, metavar=("STORE", "LIFE", "JOBS"), help="internal")
    chosen = parser.parse_args()
    if chosen.drive:
        drive(chosen.drive[0], int(chosen.drive[1]), int(chosen.drive[2]))
        return

    def round_of(seed: int) -> str:
        with tempfile.TemporaryDirectory(prefix="tf-") as folder:
            return webhooks(Path(folder), seed, chosen.events)

    failed = run_seeds(chosen.seeds, round_of)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
