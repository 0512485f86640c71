"""Seconds and memory per query of a large catalog: of many small files, compacted, and in Z-order.

A catalog of generated rows, by default a thousand per commit, is queried as by the command line, each time in a fresh
process; then again after compaction, and again in Z-order. With --s3 the same through an S3 endpoint on loopback, which
counts all requests per query, including those that open the table. (The endpoint is a Python program and far slower
than a bucket, so that only its requests are meaningful.)
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from bench.support.catalog_query import QUERIES
from bench.support.report import Case, Check, Findings, log, main, make_parser, positive_int
from catalogs.store.store import open_store
from catalogs.table.append import create_table
from catalogs.table.compaction import compact
from catalogs.table.schema import SCHEMA
from tests.s3 import BUCKET, endpoint
from troupe.process.scratch import scratch_folder

__all__ = ["batch", "fill", "measure", "parser"]

IDENTITIES, CLIPS, COMMITS_PER_RUN = 500, 200, 4
MAX_SECONDS, MAX_BYTES = 2.0, 500e6


@dataclass(frozen=True)
class QueryCost:
    """Cost of one query in one process.

    Attributes:
        seconds: seconds from the start of the imports to the rows.
        cpu: seconds of all processors, the interpreter's start included; reliable on a busy machine, too.
        peak: peak memory in bytes.
        rows: number of rows returned.
    """

    seconds: float
    cpu: float
    peak: int
    rows: int


def measure(args: Namespace) -> Findings:
    """Fill the catalog; query it as it is, compacted, and in Z-order."""
    cases: dict[str, Case] = {}
    with scratch_folder() as folder, _filled_store(args, folder) as (url, requests):
        for state in ("small files", "compacted", "z-order"):
            rewriting_seconds = 0.0
            if state != "small files":
                log(f"rewriting: {state}")
                started = time.perf_counter()
                compact(open_store(url), order=state == "z-order")
                rewriting_seconds = time.perf_counter() - started
            cases[state] = _run_queries(url, args, requests, rewriting_seconds)
    checks: dict[str, Check] = {}
    if args.commits * args.rows >= 1_000_000 and not args.s3:
        for state in ("small files", "compacted"):
            for query in ("newest", "identity", "failed", "run", "quality"):
                name = f"{state.replace(' ', '_')}_{query}"
                checks[f"{name}_seconds"] = Check.at_most(cases[state].number(f"{query}_seconds"), MAX_SECONDS)
                checks[f"{name}_bytes"] = Check.at_most(cases[state].number(f"{query}_bytes"), MAX_BYTES)
    return Findings(cases, checks)


def fill(url: str, commits: int, rows: int) -> None:
    """Write the catalog as a few years of runs would: in order of time, a few commits per run."""
    table = create_table(open_store(url))
    for commit in range(commits):
        write_deltalake(table, batch(commit, rows), mode="append", schema_mode="merge")


def batch(commit: int, rows: int) -> pa.Table:
    """Return the rows of a commit; columns that no query uses are null."""
    random = np.random.default_rng(commit)
    number = np.arange(rows)
    failed = random.random(rows) < 0.02
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=10 * commit)
    times = pa.array([start + timedelta(milliseconds=100 * int(n)) for n in number], pa.timestamp("us", "UTC"))
    columns: dict[str, Any] = {
        "schema_version": np.full(rows, 2),
        "run_id": [f"run-{commit // COMMITS_PER_RUN:05}"] * rows,
        "job_id": [f"job-{commit:05}-{n:05}" for n in number],
        "status": np.where(failed, "failed", "done"),
        "error_kind": [("no_face" if bad else None) for bad in failed],
        "identity": [f"person-{n}" for n in random.integers(0, IDENTITIES, rows)],
        "driving": [f"s3://clips/{n}.mp4" for n in random.integers(0, CLIPS, rows)],
        "render_key": [random.bytes(16).hex() for _ in number],
        "frames": random.integers(25, 900, rows),
        "seconds": random.random(rows) * 30,
        "quality_identity": random.normal(0.7, 0.1, rows),
        "finished_at": times,
        "recorded_at": times,
    }
    filled = {
        field.name: pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(rows, field.type)
        for field in SCHEMA
    }
    return pa.table(filled, schema=SCHEMA)


def _run_queries(url: str, args: Namespace, requests: Counter[str] | None, rewriting_seconds: float) -> Case:
    figures: dict[str, Any] = {"making_seconds": rewriting_seconds}
    samples: dict[str, list[float]] = {}
    table = DeltaTable(*_delta(url))
    figures["files"] = len(table.file_uris())
    for query in QUERIES:
        log(f"query: {query}")
        before = Counter(requests)
        costs = [_run_query(url, query) for _ in range(args.runs)]
        samples[f"{query}_seconds"] = [cost.seconds for cost in costs]
        figures[f"{query}_seconds"] = statistics.median(samples[f"{query}_seconds"])
        figures[f"{query}_processor_seconds"] = statistics.median(cost.cpu for cost in costs)
        figures[f"{query}_bytes"] = max(cost.peak for cost in costs)
        figures[f"{query}_rows"] = costs[0].rows
        if requests is not None:
            figures[f"{query}_requests"] = (requests.total() - before.total()) / args.runs
    return Case(figures, samples)


def _run_query(url: str, query: str) -> QueryCost:
    """Run a query in a fresh process, which imports no more than it needs."""
    words = [sys.executable, "-m", "bench.support.catalog_query", url, query]
    done = subprocess.run(words, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    return QueryCost(**json.loads(done.stdout))


def _delta(url: str) -> tuple[str, None, dict[str, str]]:
    place = open_store(url).delta()
    assert place is not None
    return place[0], None, place[1]


@contextmanager
def _filled_store(args: Namespace, folder: Path) -> Iterator[tuple[str, Counter[str] | None]]:
    """Yield the URL of a store with the catalog, and the endpoint's request counter with --s3.

    The table is written to a folder first, because the endpoint is slow, and its files are then copied to the endpoint,
    which works because a Delta table refers to its files by relative paths.
    """
    log(f"writing {args.commits} commits of {args.rows} rows")
    started = time.perf_counter()
    fill(str(folder), args.commits, args.rows)
    log(f"took {time.perf_counter() - started:.0f} s")
    if not args.s3:
        yield str(folder), None
        return
    with endpoint() as server:
        client, paths = boto3.client("s3"), [path for path in folder.rglob("*") if path.is_file()]
        log(f"copying {len(paths)} files to the endpoint")
        for path in paths:
            client.put_object(Bucket=BUCKET, Key=f"store/{path.relative_to(folder)}", Body=path.read_bytes())
        yield f"s3://{BUCKET}/store", server.requests


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument("--commits", type=positive_int, default=1000)
    options.add_argument("--rows", type=positive_int, default=1000, help="rows per commit")
    options.add_argument("--runs", type=positive_int, default=3, metavar="N", help="runs per query")
    options.add_argument(
        "--s3", action="store_true", help="query through an S3 endpoint on loopback and count its requests"
    )
    return options


if __name__ == "__main__":
    main("catalog", parser(), measure)
