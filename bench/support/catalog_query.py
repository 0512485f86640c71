"""Run one catalog query in a fresh process for `bench.store.catalog`.

`python -m bench.support.catalog_query URL QUERY` prints seconds, processor seconds, peak memory and rows as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["QUERIES"]

QUERIES: Mapping[str, Mapping[str, Any]] = {
    "newest": {"limit": 20},
    "identity": {"limit": 20, "identity": "person-77"},
    "failed": {"limit": 20, "status": "failed"},
    "run": {"limit": 20, "run": "run-00003"},
    "quality": {"limit": 20, "most": {"identity": 0.3}},
    "identity_all": {"identity": "person-77"},
    "sql": {},
}
"""Filters of each query for the columns that `troupe catalog ls` prints; `sql` is a statement."""
_SQL = "SELECT identity, count(*) AS jobs FROM jobs WHERE status = 'failed' GROUP BY ALL ORDER BY jobs DESC LIMIT 10"


def main(url: str, query: str) -> None:
    """Run the query and print its cost; seconds include the imports."""
    started = time.perf_counter()
    from catalogs.query.jobs import LISTED_COLUMNS, list_jobs
    from catalogs.store.store import open_store

    store = open_store(url)
    if query == "sql":
        from catalogs.query.sql import sql

        rows = sql(store, _SQL)
    else:
        rows = list_jobs(store, columns=LISTED_COLUMNS, **QUERIES[query])
    seconds = time.perf_counter() - started
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(
        json.dumps(
            {"seconds": seconds, "cpu": time.process_time(), "peak": int(peak.split()[1]) * 1024, "rows": len(rows)}
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
