"""Signing: its share of a small run, and its time and memory for large files.

The demo's jobs run with a test authority; then a video of each size, most of it empty media data, is
signed and verified in a process of its own. The library hashes a file in parts of
at most 256 MB, a few at a time: its memory is bounded, and need not grow with the file.
"""

from __future__ import annotations

import struct
import time
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path

from bench.support.machine import isolated, peak_memory
from bench.support.report import Case, Check, Findings, log, main, make_parser, positive_int
from catalogs.store.store import open_store
from catalogs.table.manifest import read_manifest
from flows.local import animate_locally
from models.miniature import SHIPPED_WEIGHTS
from tasks.credentials.authority import create_authority
from tasks.credentials.manifest import Generation, sign_file
from tasks.credentials.reader import read_credentials
from tasks.credentials.signer import configured_signer
from tasks.demo import prepare_demo
from tasks.run.request import Request
from troupe.process.scratch import scratch_folder

__all__ = ["measure", "parser"]

MAX_SHARE = 0.03
"""Share of a run's time that signing may take."""
MAX_GROWTH = 30e6
"""Bytes that signing the largest file may need more than the one before it."""
MEGABYTE = 10**6


@dataclass(frozen=True)
class Large:
    """Cost of a large file, in a process of its own.

    Attributes:
        sign, verify: seconds.
        memory: bytes of memory at the peak, more than before.
        added: bytes that the signature adds.
    """

    sign: float
    verify: float
    memory: int
    added: int


def measure(args: Namespace) -> Findings:
    """Measure runs and files."""
    with scratch_folder() as folder:
        create_authority(folder / "credentials")
        log("the demo, signed")
        portraits, drivings = prepare_demo(folder)
        request = Request(
            store=str(folder / "store"),
            weights=str(SHIPPED_WEIGHTS),
            portraits=str(portraits),
            drivings=str(drivings),
            defaults={"preset": "sketch"},
            limit=args.jobs,
            preview=args.preview,
            credentials=str(folder / "credentials"),
        )
        seconds, signing, jobs = isolated(run_signed, request)
        cases = {
            "demo": Case(
                {
                    "jobs": jobs,
                    "run_seconds": seconds,
                    "sign_per_job_seconds": signing / jobs,
                    "sign_share": signing / seconds,
                }
            )
        }
        checks = {"sign_share": Check.at_most(signing / seconds, MAX_SHARE)}
        peaks = []
        for size in args.sizes:
            log(f"a file of {size} MB")
            large = isolated(sign_large, folder, size)
            peaks.append(large.memory)
            cases[f"{size} MB"] = Case(
                {
                    "sign_seconds": large.sign,
                    "verify_seconds": large.verify,
                    "memory_bytes": large.memory,
                    "added_bytes": large.added,
                }
            )
    if len(peaks) > 1:
        checks["growth_bytes"] = Check.at_most(peaks[-1] - peaks[-2], MAX_GROWTH)
    return Findings(cases, checks)


def run_signed(request: Request) -> tuple[float, float, int]:
    """Run a request; return its seconds, those of signing, and the number of jobs."""
    started = time.perf_counter()
    summary = animate_locally(request)
    seconds = time.perf_counter() - started
    rows = read_manifest(open_store(request.store), summary.run_id)
    assert set(rows["signature"].to_pylist()) == {"signed"}
    return seconds, sum(value or 0.0 for value in rows["seconds_sign"].to_pylist()), len(rows)


def sign_large(folder: Path, size: int) -> Large:
    """Sign and verify a video of that size, in megabytes."""
    source, target = folder / "large.mp4", folder / "signed.mp4"
    with source.open("wb") as file:
        file.write(struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 0, b"isom"))
        file.write(struct.pack(">I4sQ", 1, b"mdat", 16 + size * MEGABYTE))
        file.truncate(file.tell() + size * MEGABYTE)
    signer = configured_signer(str(folder / "credentials"))
    assert signer is not None
    before = peak_memory()
    try:
        started = time.perf_counter()
        sign_file(signer, source, target, Generation("run", "job", "picture", "weights", "", []), composite=False)
        signed = time.perf_counter()
        state = read_credentials(target).state
        assert state == "untrusted", state
        added = target.stat().st_size - source.stat().st_size
        return Large(signed - started, time.perf_counter() - signed, peak_memory() - before, added)
    finally:
        source.unlink()
        target.unlink(missing_ok=True)


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument(
        "--sizes", type=positive_int, nargs="+", default=[64, 512, 1024], metavar="MB", help="of files"
    )
    options.add_argument("--jobs", type=positive_int, metavar="N", help="only the first N of four jobs")
    options.add_argument("--preview", type=float, metavar="S", help="only the first seconds of every clip")
    return options


if __name__ == "__main__":
    main("signing", parser(), measure)
