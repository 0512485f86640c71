"""What verifying costs a run: hashing inputs, what is put into the store, and what is fetched from it.

The demo's jobs run in one process: once with everything new; once with other seeds, so that encoded portraits and
clips come from the store and are compared with their digests. All files are hashed by one function, whose seconds are
counted, with reading. The preset is the demo's, whose runs are the shortest, so that hashing has the largest share.
"""

from __future__ import annotations

import sys
import threading
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.support.demo_request import demo_request
from bench.support.machine import isolated
from bench.support.report import Case, Check, Findings, log, main, make_parser, positive_int
from flows.local import animate_locally
from tasks.run.request import Request
from troupe import files
from troupe.errors import TroupeError
from troupe.files import FileState, file_state
from troupe.process.scratch import scratch_folder

__all__ = ["Hashed", "counting", "measure", "parser"]

MAX_SHARE = 0.02
"""Share of a run's time that hashing may take."""
MAX_AGAIN = 0.05
"""Share of the hashed bytes that may be hashed although the file had been before: posters are, when they are fetched
with their picture and when they are published with its film."""


@dataclass
class Hashed:
    """What was hashed.

    Attributes:
        seconds: seconds of all threads together, reading included.
        bytes: bytes that were hashed.
        times: how often each state of a file was hashed, by path and state.
    """

    seconds: float = 0.0
    bytes: int = 0
    times: Counter[tuple[str, FileState]] = field(default_factory=Counter)

    @property
    def again_bytes(self) -> int:
        """Bytes that were hashed although the same file had been hashed and not changed since."""
        return sum((count - 1) * state[0] for (_, state), count in self.times.items())


@contextmanager
def counting() -> Iterator[Hashed]:
    """Count what `troupe.files.file_sha256` does, wherever it was imported."""
    hashed, lock, original = Hashed(), threading.Lock(), files.file_sha256

    def counted(path: Path, raise_if_cancelled: Callable[[], None] = lambda: None) -> str:
        state = file_state(path)
        started = time.perf_counter()
        digest = original(path, raise_if_cancelled)
        seconds = time.perf_counter() - started
        assert state is not None
        with lock:
            hashed.seconds += seconds
            hashed.bytes += state[0]
            hashed.times[str(path), state] += 1
        return digest

    def exchange(old: Callable[..., str], new: Callable[..., str]) -> None:
        for module in list(sys.modules.values()):
            if vars(module).get("file_sha256") is old:
                vars(module)["file_sha256"] = new

    exchange(original, counted)
    try:
        yield hashed
    finally:
        exchange(counted, original)


def measure(args: Namespace) -> Findings:
    """Measure a run of new jobs, and one that reuses what is encoded."""
    cases: dict[str, Case] = {}
    checks: dict[str, Check] = {}
    with scratch_folder() as folder:
        request = demo_request(folder, args, args.preset)
        again = replace(request, defaults={**request.defaults, "seed": "1"})
        for name, one in (("new", request), ("encoded before", again)):
            log(f"the demo's jobs, {name}")
            seconds, jobs, hashed = isolated(run_counted, one)
            cases[name] = Case(
                {
                    "jobs": jobs,
                    "run_seconds": seconds,
                    "hash_seconds": hashed.seconds,
                    "hash_share": hashed.seconds / seconds,
                    "files": len(hashed.times),
                    "hashed_bytes": hashed.bytes,
                    "again_bytes": hashed.again_bytes,
                    "again_share": hashed.again_bytes / hashed.bytes,
                }
            )
            place = name.replace(" ", "_")
            checks[f"{place}_share"] = Check.at_most(hashed.seconds / seconds, MAX_SHARE)
            checks[f"{place}_again_share"] = Check.at_most(hashed.again_bytes / hashed.bytes, MAX_AGAIN)
    return Findings(cases, checks)


def run_counted(request: Request) -> tuple[float, int, Hashed]:
    """Run a request; return its seconds, the number of its films, and what was hashed."""
    with counting() as hashed:
        started = time.perf_counter()
        summary = animate_locally(request)
        seconds = time.perf_counter() - started
    if summary.counts.get("failed"):
        raise TroupeError(summary.line())
    return seconds, summary.counts.get("done", 0), hashed


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument("--preset", default="sketch", metavar="NAME", help="preset of the jobs")
    options.add_argument("--jobs", type=positive_int, metavar="N", help="only the first N of four jobs")
    options.add_argument("--preview", type=float, metavar="S", help="only the first seconds of every clip")
    return options


if __name__ == "__main__":
    main("verifying", parser(), measure)
