"""Signing and the watermark: their share of a small run, and time and memory of signing large files.

The demo's jobs run with a test authority and a watermark key of their own; then a video of each size, most of it empty
media data, is signed and verified in a process of its own. The library hashes a file in parts of at most 256 MB, a few
at a time: its memory is bounded, and need not grow with the file.
"""

from __future__ import annotations

import os
import secrets
import struct
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from bench.support.demo_request import demo_request
from bench.support.machine import isolated, peak_memory
from bench.support.report import Case, Check, Findings, log, main, make_parser, positive_int
from catalogs.store.store import open_store
from catalogs.table.manifest import read_manifest
from flows.local import animate_locally
from tasks.credentials.authority import create_authority
from tasks.credentials.manifest import Generation, sign_file
from tasks.credentials.reader import read_credentials
from tasks.credentials.signer import Signer, configured_signer
from tasks.run.request import Request
from tasks.steps.marking import Marking
from troupe.process.scratch import scratch_folder

__all__ = ["measure", "parser"]

MAX_SHARE = 0.03
"""Share of a run's time that signing and the watermark may take."""
MAX_GROWTH = 30e6
"""Bytes that signing the largest MP4 may need more than the one before it."""
MEGABYTE = 10**6


@dataclass(frozen=True)
class Small:
    """Cost of a small run.

    Attributes:
        seconds, signing, marking: seconds of the run, and of its signatures and watermarks.
        jobs: number of jobs.
    """

    seconds: float
    signing: float
    marking: float
    jobs: int


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
        request = demo_request(folder, args, "sketch", credentials=str(folder / "credentials"))
        demo = isolated(run_signed, request)
        share = (demo.signing + demo.marking) / demo.seconds
        cases = {
            "demo": Case(
                {
                    "jobs": demo.jobs,
                    "run_seconds": demo.seconds,
                    "sign_per_job_seconds": demo.signing / demo.jobs,
                    "sign_share": demo.signing / demo.seconds,
                    "watermark_share": demo.marking / demo.seconds,
                }
            )
        }
        checks = {"sign_and_watermark_share": Check.at_most(share, MAX_SHARE)}
        peaks = []
        for size, matroska in [*((size, False) for size in args.sizes), (max(args.sizes), True)]:
            name = f"{size} MB" + (" Matroska" if matroska else "")
            log(f"a file of {name}")
            large = isolated(sign_large, folder, size, matroska=matroska)
            if not matroska:
                peaks.append(large.memory)
            cases[name] = Case(
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


def run_signed(request: Request) -> Small:
    """Run a request, and count what its signatures and watermarks cost, the test of the signer before it included."""
    os.environ["TROUPE_WATERMARK_KEY"] = secrets.token_hex(32)
    with _counted(Marking, "__init__", "__call__") as marking, _counted(Signer, "check") as checking:
        started = time.perf_counter()
        summary = animate_locally(request)
        seconds = time.perf_counter() - started
    rows = read_manifest(open_store(request.store), summary.run_id)
    assert set(rows["signature"].to_pylist()) == {"signed"}
    assert "off" not in rows["watermark"].to_pylist()
    signing = sum(checking) + sum(value or 0.0 for value in rows["seconds_sign"].to_pylist())
    return Small(seconds, signing, sum(marking), len(rows))


@contextmanager
def _counted(kind: type, *methods: str) -> Iterator[list[float]]:
    """Yield a list to which every call of these methods adds its seconds."""
    seconds: list[float] = []

    def timed(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                seconds.append(time.perf_counter() - started)

        return call

    with ExitStack() as patches:
        for name in methods:
            patches.enter_context(mock.patch.object(kind, name, timed(getattr(kind, name))))
        yield seconds


def sign_large(folder: Path, size: int, *, matroska: bool) -> Large:
    """Sign and verify a video of that size, in megabytes; the signature of one in Matroska is a file of its own."""
    source, target = folder / "large.mp4", folder / "signed.mp4"
    if matroska:
        source, target = folder / "large.mkv", folder / "large.c2pa"
    with source.open("wb") as file:
        if matroska:
            file.write(bytes.fromhex("1a45dfa3"))
        else:
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
        state = read_credentials(source if matroska else target).state
        assert state == "untrusted", state
        added = target.stat().st_size - (0 if matroska else source.stat().st_size)
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
