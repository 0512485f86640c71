"""A run is stopped in every stage: by Ctrl-C, by SIGTERM, and by SIGTERM to its process group.

(`tests.faults.schedule` has a real worker of Prefect's cancel flow runs.) Prints the
seconds from the signal to the end of the process, the exit code, how many processes the run had and how many are
left, and what is left of temporary files. What was published has to be whole and in the catalog. With `--at-once N`, a
worker has N unfinished pictures when the signal comes in the stages `animate`, `late` and `put`, or the trial fails.
With `--cluster`, runs join a Ray cluster of this machine that was started before.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path, PurePosixPath

from catalogs.store.renders import PICTURES, check_files, find_record
from catalogs.store.store import Store, open_store
from catalogs.table.manifest import read_manifest
from tests.faults.harness.at_once import rendering
from tests.faults.harness.faulty_s3 import faulty_s3
from tests.faults.harness.workspace import Workspace, prepare, server, wait_until
from tests.s3 import BUCKET, endpoint
from troupe.errors import DamagedFile

STAGES = ("server", "plan", "ray", "raylet", "encode", "animate", "late", "put", "publish")
BUSY = ("animate", "late", "put")
"""Stages in which pictures are rendered."""
WAYS: dict[str, Callable[[int], None]] = {
    "ctrl-c": lambda pid: os.killpg(pid, signal.SIGINT),
    "sigterm": lambda pid: os.kill(pid, signal.SIGTERM),
    "group": lambda pid: os.killpg(pid, signal.SIGTERM),
}
SECONDS = 5.0
OTHERS = (".ses", "torchinductor_")
"""What onnxruntime and torch put into the temporary folder when they are imported, once for all processes."""


def folders(store: Store, parent: str, *, whole: bool) -> set[str]:
    """Return the folders of films or pictures that have a record, or those that have files but none."""
    keys = [PurePosixPath(key) for key in store.list(parent)]
    records = {str(key.parent) for key in keys if key.name == "render.json"}
    return records if whole else {str(key.parent) for key in keys} - records


def unfinished(workspace: Workspace, store: Store, before: Container[Path]) -> int:
    """Return how many pictures are being rendered or put."""
    return rendering(workspace.scratch, before).total() + len(folders(store, PICTURES, whole=False))


def reached(
    stage: str, workspace: Workspace, store: Store, log: Path, before: Container[Path] = ()
) -> Callable[[], bool]:
    """Return a check whether a run has reached a stage.

    `raylet` is just before the run joins its Ray; `late` is once as many films are published as there can be while all
    that a worker may have at once are unfinished, but one.
    """

    def films() -> int:
        return len(folders(store, "renders", whole=True))

    def busy() -> bool:
        return unfinished(workspace, store, before) >= workspace.at_once

    return {
        "server": lambda: "loading Prefect" in log.read_text(),
        "plan": lambda: bool(store.list("runs")),
        "ray": lambda: "preparing" in log.read_text(),
        "raylet": lambda: any(process.name() == "raylet" for process in workspace.processes()),
        "encode": lambda: bool(store.list("cache/appearance")),
        "animate": busy,
        "late": lambda: films() >= workspace.jobs - workspace.at_once - 1 and busy(),
        "put": lambda: bool(folders(store, PICTURES, whole=False)) and busy(),
        "publish": lambda: films() == workspace.jobs,
    }[stage]


@contextmanager
def store_for(stage: str, folder: Path) -> Iterator[Store]:
    """Yield a new store; for `put`, a bucket into which pictures are put slowly, so that it lasts for seconds."""
    if stage != "put":
        yield open_store(str(folder))
        return
    with endpoint() as quiet, faulty_s3(quiet.url, 0.0, 0, slow_puts=PICTURES) as slow:
        os.environ["AWS_ENDPOINT_URL"] = slow.endpoint
        yield open_store(f"s3://{BUCKET}/{folder.name}")


@contextmanager
def cluster(workspace: Workspace) -> Iterator[str]:
    """Yield the address of a Ray cluster of this machine, whose workers are not processes of the workspace."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "TMPDIR": str(workspace.scratch)}
    from ray.cluster_utils import Cluster

    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "include_dashboard": False})
    try:
        yield str(started.address)
    finally:
        started.shutdown()


def cancel(workspace: Workspace, stage: str, way: str, store: Store, *options: str) -> tuple[float, str]:
    """One run; the seconds that it took to end, and what happened in a line."""
    log = workspace.folder / f"log-{stage}-{way}"
    address = workspace.variables.get("PREFECT_API_URL", "")
    if stage == "server":
        workspace.variables.pop("PREFECT_API_URL", None)
    others, old = {process.pid for process in workspace.processes()}, {*workspace.scratch.iterdir()}

    def own_processes() -> list[int]:
        return [process.pid for process in workspace.processes() if process.pid not in others]

    run = workspace.start(store.url, "run", log, *options)
    workspace.variables["PREFECT_API_URL"] = address
    there = reached(stage, workspace, store, log, old)
    try:
        assert wait_until(there, 240, run), log.read_text()
        if stage in ("server", "ray"):
            time.sleep(1.5)
        had = len(own_processes())
        if stage in BUSY:  # A picture may have been finished meanwhile.
            assert wait_until(there, 240, run), f"{stage} {way}: never {workspace.at_once} unfinished pictures again"
        pictures = unfinished(workspace, store, old)
        started = time.monotonic()
        WAYS[way](run.pid)
        code = run.wait(60)
        seconds = time.monotonic() - started
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{stage} {way}: it does not end\n{log.read_text()}") from None
    finally:
        run.kill()
    wait_until(lambda: not own_processes(), 2)
    left = own_processes()
    files = [path.name for path in {*workspace.scratch.iterdir()} - old if not path.name.startswith(OTHERS)]
    text = log.read_text()
    assert stage not in BUSY or pictures >= workspace.at_once, f"{stage} {way}: only {pictures} pictures unfinished"
    assert "Traceback" not in text, f"{stage} {way}: {text[-3000:]}"
    assert not left, f"{stage} {way}: {[p.cmdline() for p in workspace.processes()]}"
    assert not files, f"{stage} {way}: left {files}"
    assert code in (130, 0) if stage == "publish" else code == 130, f"{stage} {way}: exit code {code}\n{text}"
    published = check_published(store, f"{stage} {way}", text)
    return seconds, (
        f"{stage:8} {way:8} {seconds:4.1f} s, exit code {code}, {pictures} pictures unfinished, "
        f"{had} processes before, 0 after; {published} published"
    )


def check_published(store: Store, what: str, text: str) -> int:
    """Check that every film and picture with a record is whole, and every film in the manifest; return the films."""
    films = folders(store, "renders", whole=True)
    for folder in films | folders(store, PICTURES, whole=True):
        try:
            record = find_record(store, folder)
            assert record is not None
            check_files(store, record, deep=True)
        except DamagedFile as error:
            raise AssertionError(f"{what}: half visible: {error}\n{text}") from error
    rows = {}
    if "runs/run/manifest.parquet" in store.list("runs"):
        rows = {row["render_key"]: row["status"] for row in read_manifest(store, "run").to_pylist()}
    unknown = [folder for folder in films if rows.get(PurePosixPath(folder).name) != "done"]
    assert not unknown, f"{what}: published, but not in the manifest: {unknown}\n{text}"
    return len(films)


def main() -> None:
    """Every stage and way, or those that are named; the exit code is 1 if one is not as it should be."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="pictures that a worker renders at once")
    parser.add_argument("--cluster", action="store_true", help="runs join a Ray cluster of this machine")
    chosen = parser.parse_args()
    # A cluster has its raylet before a run.
    stages = [stage for stage in chosen.stages if stage != "raylet" or not chosen.cluster]
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="tf-") as folder:
        workspace = prepare(Path(folder), at_once=chosen.at_once)
        with server(workspace), cluster(workspace) if chosen.cluster else nullcontext() as address:
            options = ("--ray-address", address) if address else ()
            for stage in stages:
                for way in chosen.ways:
                    try:
                        with store_for(stage, workspace.folder / f"store-{stage}-{way}") as store:
                            seconds, line = cancel(workspace, stage, way, store, *options)
                        wrong += seconds > SECONDS
                        print(line + (" TOO SLOW" if seconds > SECONDS else ""), flush=True)
                    except AssertionError as error:
                        wrong += 1
                        print(f"FAILED {error}", flush=True)
    print(f"{wrong} wrong", flush=True)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
