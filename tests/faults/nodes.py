"""A run across two Ray nodes of one machine, with a bucket and weights in a bucket; one node is killed midway.

The nodes have no folder in common but what this machine has anyway: temporary files and fetched weights are asserted
to be each worker's own business by giving the run nothing but URLs.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from catalogs.store.store import open_store
from tests.faults.harness.workspace import Workspace, prepare
from tests.s3 import BUCKET, endpoint
from troupe.progress import Progress


class Watch:
    """Kills a node once some jobs are done."""

    def __init__(self, after: int, kill: Any) -> None:
        self.rows: list[Mapping[str, Any]] = []
        self._after, self._kill = after, kill
        self._lock = threading.Lock()

    def note(self, text: str) -> None:
        """Print it."""
        print(text, flush=True)

    def started(self, jobs: int) -> None:
        """Nothing."""

    def working(self, progress: Progress) -> None:
        """Nothing."""

    def finished(self, row: Mapping[str, Any]) -> None:
        """Count, and strike when it is time."""
        with self._lock:
            self.rows.append(row)
            if len(self.rows) == self._after:
                threading.Thread(target=self._kill).start()


def across(workspace: Workspace, kill: bool = True) -> str:
    """One run; what happened, in a line."""
    # Before ray is imported.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    from ray.cluster_utils import Cluster

    from flows import steps
    from flows.steps import execute
    from tasks.run.request import Request

    weights, inputs = open_store(f"s3://{BUCKET}/weights"), open_store(f"s3://{BUCKET}/inputs")
    for path in workspace.weights.rglob("*"):
        if path.is_file():
            weights.put(path, path.relative_to(workspace.weights).as_posix())
    for path in workspace.request.parent.iterdir():
        inputs.put(path, path.name)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    second = cluster.add_node(num_cpus=2)
    cluster.wait_for_nodes()
    started = time.monotonic()

    def strike() -> None:
        print("a node is killed", flush=True)
        cluster.remove_node(second, allow_graceful=False)

    watch = Watch(workspace.jobs // 3, strike if kill else lambda: None)
    steps.stoppable = lambda: nullcontext(threading.Event())  # type: ignore[assignment,attr-defined]
    try:
        request = Request(
            store=f"s3://{BUCKET}/store",
            weights=weights.url,
            jobs=inputs.uri("jobs.jsonl"),
            ray_address=cluster.address,
        )
        summary = execute(request, watch, ray=True)
    finally:
        cluster.shutdown()
    assert summary.counts == {"done": workspace.jobs}, [row["error"] for row in watch.rows]
    workers = Counter(row["worker"] for row in watch.rows)
    attempts = Counter(row["attempts"] for row in watch.rows)
    assert len(workers) >= 2, workers
    copies = list((workspace.folder / "cache" / "weights").glob("[!.]*[!k]"))
    return (
        f"{summary.line()}; jobs by worker {sorted(workers.values())}, attempts {dict(attempts)}, "
        f"{len([copy for copy in copies if copy.is_dir()])} copy of the weights, {time.monotonic() - started:.1f} s"
    )


def main() -> None:
    """Run on a new bucket; exit with 1 if a job is not done."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=12)
    parser.add_argument("--whole", action="store_true", help="kill nothing")
    chosen = parser.parse_args()
    with endpoint(), tempfile.TemporaryDirectory(prefix="tf-") as folder:
        workspace = prepare(Path(folder), portraits=max(1, chosen.jobs // 2), clips=2)
        os.environ |= {"TROUPE_CACHE": str(workspace.folder / "cache"), "TMPDIR": str(workspace.scratch)}
        tempfile.tempdir = None
        print(across(workspace, kill=not chosen.whole), flush=True)
        left = [path.name for path in workspace.scratch.iterdir() if path.name.startswith("troupe-")]
        print(f"temporary folders left: {left or 'none'}", flush=True)
    sys.exit(bool(left))


if __name__ == "__main__":
    main()
