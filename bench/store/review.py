"""Seconds and memory per page of `troupe review` over a large catalog: the queue and the grid, in several orders.

A catalog of generated films with decisions of people and of rules is served by the command, in a process of its own,
and paged through as a browser does: first from the start of the server on, then listing by listing. In between a
reviewer decides, and a commit adds rows. Memory is the server's; its growth is that from the pages of the first listing
to those of the last.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import httpx2
import psutil
import pyarrow as pa
from deltalake import write_deltalake

from bench.store.catalog import batch
from bench.support.report import Case, Check, Findings, log, main, make_parser, positive_int
from catalogs.query.job_index import JobIndex
from catalogs.review.decisions import Decision, Decisions
from catalogs.store.store import open_store
from catalogs.table.append import create_table
from catalogs.table.snapshot import open_table
from troupe.process.scratch import scratch_folder

__all__ = ["LISTINGS", "fill", "measure", "page_through", "parser"]

FIRST_SECONDS, NEXT_SECONDS, MAX_GROWTH_BYTES = 1.0, 0.3, 50e6
Parameters: TypeAlias = Mapping[str, str]
LISTINGS: Mapping[str, tuple[str, Parameters]] = {
    "queue": ("/api/queue", {}),
    "queue, worst identity": ("/api/queue", {"order": "identity", "scope": "picture"}),
    "queue, approved": ("/api/queue", {"state": "approved"}),
    "queue, one identity": ("/api/queue", {"identity": "PERSON-7"}),
    "grid": ("/grid/cards", {}),
    "grid, worst identity": ("/grid/cards", {"order": "identity"}),
    "grid, failed": ("/grid/cards", {"status": "failed"}),
}


def measure(args: Namespace) -> Findings:
    """Fill the catalog and page through it."""
    with scratch_folder() as scratch:
        folder = args.store or scratch
        if not (folder / "catalog").exists():
            log(f"writing {args.commits} commits of {args.rows} rows, and decisions")
            fill(str(folder), args.commits, args.rows)
        log(f"{args.pages} pages of each of {len(LISTINGS)} listings")
        seconds, memory = page_through(str(folder), args.pages)
    cases = {
        name: Case(
            {
                "first_seconds": taken[0],
                "next_seconds": statistics.median(taken[1:]),
                "slowest_next_seconds": max(taken[1:]),
            },
            {"page_seconds": taken},
        )
        for name, taken in seconds.items()
    }
    slowest = max(case.number("next_seconds") for case in cases.values())
    start, *later = memory
    first, last = (statistics.median(part) for part in (later[: args.pages], later[-args.pages :]))
    growth = last - first
    figures = {
        "start_bytes": start,
        "first_listing_bytes": first,
        "last_listing_bytes": last,
        "most_bytes": max(memory),
    }
    cases["memory"] = Case(figures, {"page_bytes": later})
    checks = {
        "first_page": Check.at_most(cases["queue"].number("first_seconds"), FIRST_SECONDS),
        "next_page": Check.at_most(slowest, NEXT_SECONDS),
        "growth": Check.at_most(growth, MAX_GROWTH_BYTES),
    }
    return Findings(cases, checks)


def fill(url: str, commits: int, rows: int) -> None:
    """Write a catalog of films in two languages; a rule decided about a fifth of them, people about a few."""
    store = open_store(url)
    table = create_table(store)
    for number in range(commits):
        write_deltalake(table, _films(number, rows), mode="append", schema_mode="merge")
    found = JobIndex(store).jobs(["render_key", "status"]).to_pylist()
    films = [row["render_key"] for row in found if row["status"] == "done"]
    decisions = Decisions(store)
    rule = "approve if identity >= 0.8"
    decisions.add_all(Decision("", "film", film, "approved", automatic=rule) for film in films[::5])
    for place in range(0, min(len(films), 5 * commits), 10):
        mine = films[place + 1 : place + 4]
        decisions.add_all(Decision("ada", "film", film, "rejected", reason="mouth") for film in mine)


def page_through(url: str, pages: int) -> tuple[dict[str, list[float]], list[int]]:
    """Return seconds per page of each listing, and the server's memory at its start and after each page."""
    seconds: dict[str, list[float]] = {}
    memory: list[int] = []
    with _server(url) as (process, address), httpx2.Client(timeout=60) as browser:
        memory.append(process.memory_info().rss)
        for name, (path, parameters) in LISTINGS.items():
            after: Parameters = {}
            for number in range(pages):
                started = time.perf_counter()
                if not seconds:  # all that a browser asks for, from the address with the token on
                    browser.get(address, follow_redirects=True).raise_for_status()
                page = browser.get(f"{address.partition('/?')[0]}{path}", params={**parameters, **after})
                page.raise_for_status()
                seconds.setdefault(name, []).append(time.perf_counter() - started)
                memory.append(process.memory_info().rss)
                after = _after(page.text)
                if number == pages // 2:
                    _change(url, len(memory))
    return seconds, memory


def _after(page: str) -> Parameters:
    """Return the parameter of the next page; none after the last one, so that the first one follows."""
    if page.startswith("{"):
        after = json.loads(page)["after"]
    else:
        found = re.search(r"after=([\w-]+)", "".join(re.findall(r'data-more="([^"]*)"', page)))
        after = found[1] if found else ""
    return {"after": after} if after else {}


def _change(url: str, number: int) -> None:
    """Add what others add meanwhile: a decision, and rows of a run."""
    store = open_store(url)
    Decisions(store).add(Decision("bob", "film", f"{number:032x}", "approved"))
    table = open_table(store)
    assert table is not None
    write_deltalake(table, _films(10_000 + number, 100), mode="append", schema_mode="merge")


def _films(number: int, rows: int) -> pa.Table:
    """Return a commit of films, two of each picture."""
    table = batch(number, rows)
    keys: list[Any] = table.column("render_key").to_pylist()
    columns: dict[str, Sequence[str]] = {
        "picture_key": [keys[place - place % 2] for place in range(rows)],
        "full_uri": [f"/store/renders/{key}/full.mp4" for key in keys],
        "poster_uri": [f"/store/renders/{key}/poster.jpg" for key in keys],
    }
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), pa.array(values, pa.string()))
    return table


@contextmanager
def _server(url: str) -> Iterator[tuple[psutil.Process, str]]:
    """Run `troupe review`, and yield its process and address."""
    command = [sys.executable, "-c", "from flows.cli import main; main()", "review", "--store", url]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=Path(__file__).parents[2]
    )
    try:
        assert process.stdout is not None
        yield psutil.Process(process.pid), process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument("--commits", type=positive_int, default=100)
    options.add_argument("--rows", type=positive_int, default=1000, help="rows per commit")
    options.add_argument("--pages", type=positive_int, default=100, help="pages per listing")
    options.add_argument("--store", type=Path, metavar="FOLDER", help="keep the catalog in this folder, and reuse it")
    return options


if __name__ == "__main__":
    main("review", parser(), measure)
