"""The catalog under load: concurrent writers, a compactor, a vacuum and readers, all of them killed at random.

    python -m tests.faults.stores.catalog --writers 4 --runs 50
    python -m tests.faults.stores.catalog --writers 4 --runs 50 --s3
    python -m tests.faults.stores.catalog --writers 4 --runs 50 --grace 5

Every writer commits runs of a few rows in small batches; one that was killed is started again and resumes
from the catalog. Readers poll continuously and must always see a state that existed: of every run the first n rows,
each once, with n never decreasing. In the end every row must exist exactly once.

A vacuum keeps files that were in use within the last hour, so within minutes it deletes nothing. --grace shortens that
hour to as many seconds: it deletes what compaction has replaced and killed writers have left behind, while all others
are running.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NoReturn

import libfaketime

from catalogs.query.jobs import list_jobs
from catalogs.store.store import Store, open_store
from catalogs.table.compaction import compact, vacuum
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.snapshot import snapshot
from tests.catalogs.conftest import row
from tests.s3 import BUCKET, endpoint
from troupe.errors import StoreError
from troupe.files import replacing
from troupe.process.scratch import scratch_folder

__all__ = ["Attack", "Outcome", "attack"]

BATCH = 4
HOUR = timedelta(hours=1)
CONTEXT = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Attack:
    """Parameters of an attack.

    Attributes:
        url: of the store.
        writers, readers: processes.
        runs: that each writer commits.
        rows: of each run.
        kill_every: seconds between kills, from the start on; each hits one process at random.
        seed: of what is killed when.
        grace: seconds to which the vacuum's hour is shortened; 0 keeps it. The attack then continues until
            something is deleted.
        limit: seconds after which it is given up.
    """

    url: str
    writers: int = 4
    runs: int = 50
    rows: int = 10
    readers: int = 2
    kill_every: float = 1.0
    seed: int = 0
    grace: float = 0.0
    limit: float = 1800.0


@dataclass
class Outcome:
    """Result of an attack.

    Attributes:
        rows: in the catalog in the end.
        finished: whether all writers came through before the limit.
        missing, twice: of those that should be there exactly once.
        kills: by what was killed.
        looks: of the readers that ended, and what was wrong with what they saw, or with what they met.
        failures: of those that tidy up, and what others than they ended with; the next try succeeds.
        deleted: files, by the vacuum.
        version, files: of the table in the end.
    """

    finished: bool = False
    rows: int = 0
    missing: int = 0
    twice: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    looks: int = 0
    wrong: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    deleted: int = 0
    version: int = 0
    files: int = 0
    seconds: float = 0.0


def attack(plan: Attack) -> Outcome:
    """Run an attack; return when all writers are done."""
    outcome, started, rng = Outcome(), time.monotonic(), random.Random(plan.seed)
    # Modules are loaded once, not by each of the many processes that follow those that are killed.
    CONTEXT.set_forkserver_preload(
        ["catalogs.query.jobs", "catalogs.table.compaction", "tests.catalogs.conftest", "s3fs"]
    )
    with scratch_folder() as folder:
        notes = Path(folder)
        workers = {f"writer-{n}": (write_runs, (plan, n, notes)) for n in range(plan.writers)}
        helpers = {f"reader-{n}": (read_rows, (plan, n, notes)) for n in range(plan.readers)}
        helpers |= {"compactor": (compact_repeatedly, (plan, notes)), "vacuum": (vacuum_repeatedly, (plan, notes))}
        everyone: dict[str, tuple[Callable[..., None], tuple[Any, ...]]] = {**workers, **helpers}
        alive = {name: _started(*everyone[name]) for name in everyone}
        next_kill = time.monotonic()
        while time.monotonic() - started < plan.limit:
            through = not any(name in alive for name in workers)
            if through and (not plan.grace or _deleted(notes)):
                break
            time.sleep(0.05)
            for name, process in list(alive.items()):
                if process.is_alive():
                    continue
                del alive[name]
                if name in workers and process.exitcode == 0:
                    continue
                if process.exitcode != -signal.SIGKILL:
                    problems = outcome.wrong if name.startswith("reader") else outcome.failures
                    problems.append(f"{name} ended with {process.exitcode}")
                alive[name] = _started(*everyone[name])
            if time.monotonic() >= next_kill and not through:
                victim = rng.choice(sorted(alive))
                alive[victim].kill()
                outcome.kills[victim.split("-")[0]] += 1
                next_kill = time.monotonic() + plan.kill_every * rng.uniform(0.5, 1.5)
        outcome.finished = not any(name in alive for name in workers)
        (notes / "stop").touch()
        for process in alive.values():
            process.join(60)
            process.kill()
        for path in notes.glob("*.json"):
            note = json.loads(path.read_text())
            outcome.looks += note.get("looks", 0)
            outcome.wrong += note.get("wrong", [])
            outcome.failures += note.get("failures", [])
        outcome.deleted = len(_deleted(notes))
    _count(plan, outcome)
    outcome.seconds = time.monotonic() - started
    return outcome


def write_runs(plan: Attack, number: int, _: Path) -> None:
    """Write runs one after the other, each continued from its rows in the catalog."""
    store = open_store(plan.url)
    for n in range(plan.runs):
        run = f"w{number}-{n:03}"
        existing = set(list_jobs(store, run=run, columns=["job_id"]).column("job_id").to_pylist())
        with RowBuffer(store, run, every_rows=BATCH) as rows:
            for job in (f"{run}-{j:03}" for j in range(plan.rows)):
                if job not in existing:
                    rows.append(row(run, job, identity=f"p{n % 5}"))


def read_rows(plan: Attack, number: int, notes: Path) -> None:
    """Read continuously: of every run the first n rows, each once, with n never decreasing."""
    store = open_store(plan.url)
    before: dict[str, int] = {}
    looks, wrong = 0, []
    while not (notes / "stop").exists():
        seen: dict[str, list[str]] = {}
        for run, job in _pairs(store):
            seen.setdefault(run, []).append(job)
        for run, jobs in seen.items():
            if sorted(jobs) != [f"{run}-{n:03}" for n in range(len(jobs))]:
                wrong.append(f"{run}: {sorted(jobs)}")
        wrong += [
            f"{run}: {len(seen.get(run, []))} after {count}"
            for run, count in before.items()
            if count > len(seen.get(run, []))
        ]
        before = {run: len(jobs) for run, jobs in seen.items()}
        newest = list_jobs(store, limit=5, columns=["job_id"])
        if newest.num_rows < min(5, sum(before.values())):
            wrong.append(f"the newest five are {newest.num_rows}")
        looks += 1
        _note(notes / f"reader-{number}-{os.getpid()}.json", {"looks": looks, "wrong": wrong[:10]})


def compact_repeatedly(plan: Attack, notes: Path) -> None:
    """A compactor, of both kinds in turn."""
    store, n = open_store(plan.url), 0
    while not (notes / "stop").exists():
        n += 1
        try:
            compact(store, order=n % 3 == 0)
        except StoreError as error:
            # A writer may be quicker three times; the next one succeeds.
            _note(notes / f"compactor-{os.getpid()}.json", {"failures": [error.message]})
        time.sleep(0.3)


def vacuum_repeatedly(plan: Attack, notes: Path) -> None:
    """A vacuum with the shortest grace time there is."""
    if plan.grace and "FAKETIME" not in os.environ:
        _begin_with_a_fast_clock(plan, notes)
    store = open_store(plan.url)
    deleted: set[str] = set()
    while not (notes / "stop").exists():
        try:
            deleted.update(vacuum(store, HOUR))
            _note(notes / f"deleted-{os.getpid()}.json", {"deleted": sorted(deleted)})
        except StoreError as error:
            _note(notes / f"vacuum-{os.getpid()}.json", {"failures": [error.message]})
        time.sleep(0.5)


def _begin_with_a_fast_clock(plan: Attack, notes: Path) -> NoReturn:
    """Become a process for which, but for `grace` seconds, it is an hour later, and clean up in that."""
    _, preloads = libfaketime.get_reload_information()
    fast = {"FAKETIME": f"+{HOUR.total_seconds() - plan.grace:.0f}s"}
    code = "import sys; from tests.faults.stores.catalog import resume; resume(*sys.argv[1:])"
    words = [sys.executable, "-c", code, json.dumps(asdict(plan)), str(notes)]
    os.execve(sys.executable, words, os.environ | preloads | fast)


def resume(plan: str, notes: str) -> None:
    """What that process does."""
    vacuum_repeatedly(Attack(**json.loads(plan)), Path(notes))


def _deleted(notes: Path) -> set[str]:
    return {name for path in notes.glob("deleted-*.json") for name in json.loads(path.read_text())["deleted"]}


def _pairs(store: Store) -> list[tuple[str, str]]:
    """Return (run, job) of every row of the table, including outdated ones."""
    rows = snapshot(store).read(columns=["run_id", "job_id"])
    return list(zip(rows.column("run_id").to_pylist(), rows.column("job_id").to_pylist(), strict=True))


def _count(plan: Attack, outcome: Outcome) -> None:
    store = open_store(plan.url)
    found = Counter(_pairs(store))
    runs = [f"w{number}-{n:03}" for number in range(plan.writers) for n in range(plan.runs)]
    wanted = {(run, f"{run}-{j:03}") for run in runs for j in range(plan.rows)}
    outcome.rows = found.total()
    outcome.missing = len(wanted - found.keys())
    outcome.twice = sum(count > 1 for count in found.values()) + len(found.keys() - wanted)
    from catalogs.query.statistics import table_state

    state = table_state(store)
    if state is not None:
        outcome.version, outcome.files = state.version, state.files


def _started(function: Callable[..., None], arguments: tuple[Any, ...]) -> BaseProcess:
    process = CONTEXT.Process(target=_run_in_child, args=(dict(os.environ), function, arguments), daemon=True)
    process.start()
    return process


def _run_in_child(environment: dict[str, str], function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    # The server that this process was forked from may be older than the endpoint.
    os.environ.update(environment)
    function(*arguments)


def _note(path: Path, value: dict[str, Any]) -> None:
    with replacing(path, sole_writer=True) as written:
        written.write_text(json.dumps(value))


def main() -> None:
    """The command."""
    options = ArgumentParser(description=__doc__)
    options.add_argument("--writers", type=int, default=4)
    options.add_argument("--runs", type=int, default=50)
    options.add_argument("--rows", type=int, default=10)
    options.add_argument("--kill-every", type=float, default=1.0, metavar="SECONDS")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--s3", action="store_true", help="through an S3 endpoint on loopback")
    options.add_argument(
        "--grace", type=float, default=0.0, metavar="SECONDS", help="in which the vacuum's hour passes"
    )
    chosen = options.parse_args()
    with scratch_folder() as folder, ExitStack() as stack:
        url = f"{folder}/store"
        if chosen.s3:
            stack.enter_context(endpoint())
            url = f"s3://{BUCKET}/store"
        outcome = attack(
            Attack(
                url,
                chosen.writers,
                chosen.runs,
                chosen.rows,
                kill_every=chosen.kill_every,
                seed=chosen.seed,
                grace=chosen.grace,
            )
        )
    print(json.dumps({**vars(outcome), "kills": dict(outcome.kills)}, indent=2))
    raise SystemExit(bool(outcome.missing or outcome.twice or outcome.wrong))


if __name__ == "__main__":
    main()
