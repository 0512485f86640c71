"""Runs on an S3 endpoint where answers are errors, slow, lost or late: all is done, nothing is half visible.

Drivers do the same jobs at once, with the real model: in threads of this process (`--local`), or, with `--ray N`, the
first N of them as `troupe run` with actors. Prints what went wrong on the way, by kind, and how many pictures each
driver rendered at once; with `--at-once N`, one must have rendered N.
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
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

from catalogs.query.jobs import list_jobs
from catalogs.store.store import open_store
from catalogs.table.schema import WITH_VIDEO
from flows.local import animate_locally
from tasks.run.request import Request
from tests.faults.harness.at_once import count_at_once, rendering, rendering_at_once
from tests.faults.harness.faulty_s3 import faulty_s3
from tests.faults.harness.seeds import run_seeds
from tests.faults.harness.workspace import Workspace, prepare, server, wait_until
from tests.s3 import BUCKET, endpoint

__all__ = ["storm"]


def storm(workspace: Workspace, quiet: str, seed: int, share: float = 0.05, drivers: int = 2, ray: int = 0) -> str:
    """One round; what happened, in a line.

    Args:
        quiet: endpoint of an S3 server without trouble, with the bucket, whose credentials are in the environment.
        ray: number of the drivers that use Ray.
    """
    url = f"s3://{BUCKET}/storm-{uuid4().hex}"
    failed: list[str] = []

    def drive(number: int) -> None:
        run_id = f"run-{number}"
        try:
            if number < ray:
                log = workspace.folder / f"log-{seed}-{number}"
                if code := workspace.run(url, run_id, log):
                    failed.append(f"{run_id}: exit code {code}\n{log.read_text()}")
            else:
                # Ray takes longer to start than the jobs to be done.
                assert not ray or wait_until(lambda: rendering(workspace.scratch).total() > 0, 240), (
                    "no driver on Ray renders"
                )
                animate_locally(Request(url, str(workspace.weights), jobs=str(workspace.request), run_id=run_id))
        except BaseException as error:
            failed.append(f"{run_id}: {error!r}")

    with faulty_s3(quiet, share, seed) as proxy:
        os.environ["AWS_ENDPOINT_URL"] = proxy.endpoint
        try:
            with rendering_at_once(workspace.at_once), count_at_once(workspace.scratch) as most:
                threads = [threading.Thread(target=drive, args=(number,)) for number in range(drivers)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join(600)
        finally:
            os.environ["AWS_ENDPOINT_URL"] = quiet
        counts_by_fault = dict(sorted(proxy.counts_by_fault.items()))
    assert not failed, f"seed {seed}: {failed}"
    counts = check(url, workspace.jobs, drivers)
    assert set(counts) <= {*WITH_VIDEO}, f"seed {seed}: {counts}"
    assert counts["done"] == workspace.jobs, f"seed {seed}: each render is published by one driver: {counts}"
    at_once = sorted(most.values())
    assert at_once[-1] == workspace.at_once, f"seed {seed}: pictures at once, by driver: {at_once}"
    by = f"{drivers} drivers, {ray} on Ray, with at most {at_once} pictures at once"
    return f"seed {seed}: {dict(counts)} by {by}; {counts_by_fault}"


def check(url: str, jobs: int, drivers: int) -> Counter[str]:
    """Every render is whole and there once; every driver's rows are in the catalog, and true; return their statuses."""
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
    return Counter(row["status"] for row in rows)


def main() -> None:
    """Some rounds on a server of their own; the exit code is 1 if one fails."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0-4", help="FIRST-LAST, both included")
    parser.add_argument("--share", type=float, default=0.05, help="of the requests, for each kind of trouble")
    parser.add_argument("--drivers", type=int, default=2, metavar="N", help="drivers of the same jobs")
    parser.add_argument("--ray", type=int, default=0, metavar="N", help="drivers that use Ray")
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="pictures that a worker renders at once")
    chosen = parser.parse_args()
    with endpoint() as started, tempfile.TemporaryDirectory(prefix="tf-") as folder, ExitStack() as stack:
        workspace = prepare(Path(folder), portraits=2 + chosen.at_once, at_once=chosen.at_once)
        if chosen.ray:
            stack.enter_context(server(workspace))
        failed = run_seeds(
            chosen.seeds,
            lambda seed: storm(workspace, started.url, seed, chosen.share, chosen.drivers, chosen.ray),
        )
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
