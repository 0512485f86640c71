"""Seconds and memory per page of the review's listing over a large catalog.

A catalog of generated rows is opened in a fresh process and paged through in several orders and with filters, as the
grid does; then again after a commit of new rows.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.store.catalog import fill
from bench.support.report import Case, Check, Findings, log, main, make_parser, positive_int
from troupe.process.scratch import scratch_folder

__all__ = ["measure", "page_through", "parser"]

FIRST_SECONDS, NEXT_SECONDS, MAX_GROWTH_BYTES = 1.0, 0.3, 50e6
LISTINGS: dict[str, dict[str, Any]] = {
    "newest": {},
    "worst identity": {"order": "identity"},
    "by job": {"order": "job"},
    "one identity": {"order": "identity", "filters": {"identity": "PERSON-7"}},
    "failed": {"filters": {"status": "failed"}},
}


def measure(args: Namespace) -> Findings:
    """Fill the catalog and page through it."""
    with scratch_folder() as folder:
        log(f"writing {args.commits} commits of {args.rows} rows")
        fill(str(folder), args.commits, args.rows)
        log(f"{args.pages} pages of each of {len(LISTINGS)} listings")
        words = [sys.executable, "-m", "bench.store.review", "--page-through", str(folder), "--pages", str(args.pages)]
        done = subprocess.run(words, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    found = json.loads(done.stdout)
    cases = {
        name: Case(
            {
                "first_seconds": seconds[0],
                "next_seconds": statistics.median(seconds[1:]),
                "slowest_next_seconds": max(seconds[1:]),
            },
            {"page_seconds": seconds},
        )
        for name, seconds in found["seconds"].items()
    }
    cases["memory"] = Case({"first_bytes": found["first_bytes"], "growth_bytes": found["growth_bytes"]})
    slowest = max(case.number("next_seconds") for name, case in cases.items() if name != "memory")
    checks = {
        "first_page": Check.at_most(cases["newest"].number("first_seconds"), FIRST_SECONDS),
        "next_page": Check.at_most(slowest, NEXT_SECONDS),
        "growth": Check.at_most(found["growth_bytes"], MAX_GROWTH_BYTES),
    }
    return Findings(cases, checks)


def page_through(url: str, pages: int) -> dict[str, Any]:
    """Return seconds per page of each listing, and how the peak of memory grew after the first page."""
    from catalogs.query.job_index import JobIndex
    from catalogs.query.listing import list_page
    from catalogs.store.store import open_store

    index = JobIndex(open_store(url))
    seconds: dict[str, list[float]] = {}
    first_bytes = 0
    for name, listing in LISTINGS.items():
        after, order, filters = "", listing.get("order", "newest"), listing.get("filters", {})
        for _ in range(pages):
            took, page = _timed(lambda: list_page(index, filters, order=order, after=after))  # noqa: B023
            seconds.setdefault(name, []).append(took)
            first_bytes = first_bytes or _peak()
            after = page.after
    return {"seconds": seconds, "first_bytes": first_bytes, "growth_bytes": _peak() - first_bytes}


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument("--commits", type=positive_int, default=100)
    options.add_argument("--rows", type=positive_int, default=1000, help="rows per commit")
    options.add_argument("--pages", type=positive_int, default=20, help="pages per listing")
    options.add_argument("--page-through", metavar="STORE", help="only page through this store, and print JSON")
    return options


if __name__ == "__main__":
    arguments = parser().parse_args()
    if arguments.page_through:
        print(json.dumps(page_through(arguments.page_through, arguments.pages)))
    else:
        main("review", parser(), measure)
