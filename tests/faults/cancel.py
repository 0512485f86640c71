"""A run is stopped in every stage: by Ctrl-C, by SIGTERM, and by SIGTERM to its process group.

(`tests.faults.schedule` has a real worker of Prefect's cancel flow runs.) Prints the
seconds from the signal to the end of the process, the exit code, how many processes the run had and how many are
left, and what is left of temporary files. What was published has to be in the catalog, and nothing half of it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from tests.faults.harness.workspace import Workspace, prepare, records, server, wait_until

STAGES = ("server", "plan", "ray", "raylet", "encode", "animate", "publish")
WAYS: dict[str, Callable[[int], None]] = {
    "ctrl-c": lambda pid: os.killpg(pid, signal.SIGINT),
    "sigterm": lambda pid: os.kill(pid, signal.SIGTERM),
    "group": lambda pid: os.killpg(pid, signal.SIGTERM),
}
SECONDS = 5.0
OTHERS = (".ses", "torchinductor_")
"""What onnxruntime and torch put into the temporary folder when they are imported, once for all processes."""


def reached(stage: str, workspace: Workspace, store: Path, log: Path) -> Callable[[], bool]:
    """Return a check whether a run has reached a stage; `raylet` is just before the run joins its Ray."""
    return {
        "server": lambda: "starting Prefect" in log.read_text(),
        "plan": (store / "runs").exists,
        "ray": lambda: "encoding" in log.read_text(),
        "raylet": lambda: any(process.name() == "raylet" for process in workspace.processes()),
        "encode": (store / "cache" / "appearance").exists,
        "animate": (store / "cache" / "motion").exists,
        "publish": lambda: len(records(store)) == workspace.jobs,
    }[stage]


def cancel(workspace: Workspace, stage: str, way: str) -> tuple[float, str]:
    """One run; the seconds that it took to end, and what happened in a line."""
    store, log = workspace.folder / f"store-{stage}-{way}", workspace.folder / f"log-{stage}-{way}"
    address = workspace.variables.get("PREFECT_API_URL", "")
    if stage == "server":
        workspace.variables.pop("PREFECT_API_URL", None)
    others, old = {process.pid for process in workspace.processes()}, {*workspace.scratch.iterdir()}

    def own_processes() -> list[int]:
        return [process.pid for process in workspace.processes() if process.pid not in others]

    run = workspace.start(str(store), "run", log)
    workspace.variables["PREFECT_API_URL"] = address
    try:
        assert wait_until(reached(stage, workspace, store, log), 240, run), log.read_text()
        if stage in ("server", "ray"):
            time.sleep(1.5)
        before = len(own_processes())
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
    assert "Traceback" not in text, f"{stage} {way}: {text[-3000:]}"
    assert not left, f"{stage} {way}: {[p.cmdline() for p in workspace.processes()]}"
    assert not files, f"{stage} {way}: left {files}"
    assert code in (130, 0) if stage == "publish" else code == 130, f"{stage} {way}: exit code {code}\n{text}"
    rows = {}
    if (manifest := store / "runs" / "run" / "manifest.parquet").exists():
        rows = {row["render_key"]: row["status"] for row in pq.read_table(manifest).to_pylist()}
    unknown = [key for key in records(store) if rows.get(key) != "done"]
    assert not unknown, f"{stage} {way}: published, but not in the manifest: {unknown}\n{text}"
    done = f"{len(records(store))} published"
    return seconds, f"{stage:8} {way:8} {seconds:4.1f} s, exit code {code}, {before} processes before, 0 after; {done}"


def main() -> None:
    """Every stage and way, or those that are named; the exit code is 1 if one is not as it should be."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    chosen = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="tf-") as folder:
        workspace = prepare(Path(folder))
        with server(workspace):
            for stage in chosen.stages:
                for way in chosen.ways:
                    try:
                        seconds, line = cancel(workspace, stage, way)
                        wrong += seconds > SECONDS
                        print(line + (" TOO SLOW" if seconds > SECONDS else ""), flush=True)
                    except AssertionError as error:
                        wrong += 1
                        print(f"FAILED {error}", flush=True)
    print(f"{wrong} wrong", flush=True)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
