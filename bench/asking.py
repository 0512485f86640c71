"""One question to a catalog, in a process with nothing else in it: `python -m bench.asking URL QUESTION`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["QUESTIONS"]

_SHOWN = ("finished_at", "run_id", "job_id", "status", "identity", "frames", "seconds", "full_uri", "crop_uri", "error")
"""Columns of the command line's table."""
QUESTIONS: Mapping[str, Mapping[str, Any]] = {
    "newest": {"limit": 20, "columns": _SHOWN},
    "identity": {"limit": 20, "columns": _SHOWN, "identity": "person-77"},
    "failed": {"limit": 20, "columns": _SHOWN, "status": "failed"},
    "run": {"limit": 20, "columns": _SHOWN, "run": "run-00003"},
    "quality": {"limit": 20, "columns": _SHOWN, "most": {"identity": 0.3}},
    "identity_all": {"identity": "person-77", "columns": _SHOWN},
    "sql": {},
}
_SQL = "SELECT identity, count(*) AS jobs FROM jobs WHERE status = 'failed' GROUP BY ALL ORDER BY jobs DESC LIMIT 10"


def main(url: str, question: str) -> None:
    """Ask, and print what it took: seconds from the start of the imports on, of all processors, and the most memory."""
    since = time.perf_counter()
    from catalogs.query.jobs import ls
    from catalogs.store.store import open_store

    store = open_store(url)
    if question == "sql":
        from catalogs.query.sql import sql

        rows = sql(store, _SQL)
    else:
        rows = ls(store, **QUESTIONS[question])
    seconds = time.perf_counter() - since
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(
        json.dumps(
            {"seconds": seconds, "cpu": time.process_time(), "peak": int(peak.split()[1]) * 1024, "rows": len(rows)}
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
