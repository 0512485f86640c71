"""Runs on an S3 endpoint where answers are errors, slow, lost or late: all is done, nothing is half visible.

Two drivers do the same jobs at once, in threads of this process (`--local`), with the real model. Prints what went
wrong on the way, by kind.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import threading
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from uuid import uuid4

from catalogs.query.jobs import list_jobs
from catalogs.store.store import open_store
from flows.local import animate_locally
from tasks.run.request import Request
from tasks.run.summary import Summary
from tests.faults.harness.faulty_s3 import faulty_s3
from tests.faults.harness.seeds import run_seeds
from tests.faults.harness.workspace import Workspace, prepare
from tests.s3 import BUCKET, endpoint

__all__ = ["storm"]


def storm(workspace: Workspace, quiet: str, seed: int, share: float = 0.05, drivers: int = 2) -> str:
    """One round; what happened, in a line.

    Args:
        quiet: endpoint of an S3 server without trouble, with the bucket, whose credentials are in the environment.
    """
    url = f"s3://{BUCKET}/storm-{uuid4().hex}"
    summaries: dict[int, Summary | BaseException] = {}

    def drive(number: int) -> None:
        try:
            request = Request(
                store=url, weights=str(workspace.weights), jobs=str(workspace.request), run_id=f"run-{number}"
            )
            summaries[number] = animate_locally(request)
        except BaseException as error:
            summaries[number] = error

    with faulty_s3(quiet, share, seed) as proxy:
        os.environ["AWS_ENDPOINT_URL"] = proxy.endpoint
        try:
            threads = [threading.Thread(target=drive, args=(number,)) for number in range(drivers)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(600)
        finally:
            os.environ["AWS_ENDPOINT_URL"] = quiet
        counts_by_fault = dict(sorted(proxy.counts_by_fault.items()))
    counts: Counter[str] = Counter()
    for number, summary in summaries.items():
        if isinstance(summary, BaseException):
            raise AssertionError(f"seed {seed}: driver {number} failed: {summary!r}") from summary
        assert set(summary.counts) <= {"done", "reused"}, f"seed {seed}: {summary.line()}"
        assert sum(summary.counts.values()) == workspace.jobs
        counts.update(summary.counts)
    assert counts["done"] == workspace.jobs, f"seed {seed}: each render is published by one driver: {counts}"
    check(url, workspace.jobs, drivers)
    return f"seed {seed}: {dict(counts)} by {drivers} drivers; {counts_by_fault}"


def check(url: str, jobs: int, drivers: int) -> None:
    """Every render is whole and there once; every driver's rows are in the catalog, and true."""
    store = open_store(url)
    keys = [key for key in store.list("renders") if key.endswith("/render.json")]
    assert len(keys) == jobs
    sums = {}
    for key in keys:
        record = json.loads(store.read(key))
        data = store.read(record["outputs"]["full"])
        assert hashlib.sha256(data).hexdigest() == record["checksum"], f"{key}: the video is not what its record says"
        assert len(data) == record["bytes"]
        assert store.exists(record["poster"])
        sums[record["key"]] = record["checksum"]
    rows = list_jobs(store).to_pylist()
    assert Counter(row["run_id"] for row in rows) == {f"run-{number}": jobs for number in range(drivers)}
    assert all(row["checksum"] == sums[row["render_key"]] for row in rows)


def main() -> None:
    """Some rounds on a server of their own; the exit code is 1 if one fails."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0-4", help="FIRST-LAST, both included")
    parser.add_argument("--share", type=float, default=0.05, help="of the requests, for each kind of trouble")
    chosen = parser.parse_args()
    with endpoint() as started, tempfile.TemporaryDirectory(prefix="tf-") as folder:
        workspace = prepare(Path(folder))
        failed = run_seeds(chosen.seeds, lambda seed: storm(workspace, started.url, seed, chosen.share))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
