"""The workspace of a fault test: a few jobs, a small model, and `troupe run` in separate processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq

from flows.local import animate_locally
from models.miniature.init_weights import init_weights
from tasks.run.request import Request
from tasks.run.summary import Summary
from tests.flows.cast import write_clip, write_portrait, write_sound
from tests.small import QUICK
from troupe.files import file_sha256

__all__ = ["Workspace", "prepare", "server", "stable_rows", "wait_until"]

MARK = "TROUPE_TEST_MARK"
TROUPE = [sys.executable, "-P", "-c", "from flows.cli import main; main()"]
AT_ONCE = [sys.executable, "-P", "-m", "tests.faults.harness.at_once"]
ROOT = Path(__file__).parents[3]
VOLATILE_COLUMNS = ("started_at", "finished_at", "recorded_at", "attempts", "worker", "run_id")
"""Columns that depend on when and by which worker a job was done; so do `seconds_*`."""


@dataclass
class Workspace:
    """A folder with jobs, weights and temporary files.

    Attributes:
        folder: parent of everything, temporary files included.
        jobs: number of jobs in the jobs file.
        at_once: number of pictures that a render worker renders at once.
        variables: additional environment variables of the processes.
    """

    folder: Path
    jobs: int
    at_once: int = 1
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def weights(self) -> Path:
        """The weights directory."""
        return self.folder / "weights"

    @property
    def request(self) -> Path:
        """The jobs file."""
        return self.folder / "cast" / "jobs.jsonl"

    @property
    def scratch(self) -> Path:
        """The folder for temporary files."""
        return self.folder / "tmp"

    def environment(self) -> dict[str, str]:
        """Return the environment of a process, with a mark by which its children are found."""
        own = {MARK: str(self.folder), "TMPDIR": str(self.scratch), "PYTHONPATH": str(ROOT)}
        own |= {"PREFECT_HOME": str(self.folder / "prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        return os.environ | own | {"OMP_WAIT_POLICY": "PASSIVE"} | self.variables

    def start(self, store: str, run_id: str, log: Path, *more: str) -> subprocess.Popen[bytes]:
        """Start `troupe run` in its own session, as a shell would."""
        words = ["run", str(self.request), "--weights", str(self.weights), "--store", store, "--run-id", run_id, *more]
        troupe = [*AT_ONCE, str(self.at_once)] if self.at_once > 1 else TROUPE
        with log.open("ab") as out:
            return subprocess.Popen(
                [*troupe, *words],
                stdout=out,
                stderr=out,
                cwd=self.folder,
                env=self.environment(),
                start_new_session=True,
            )

    def run(self, store: str, run_id: str, log: Path, *more: str) -> int:
        """Run `troupe run` to its end; return its exit code."""
        return self.start(store, run_id, log, *more).wait(600)

    def run_in_process(self, store: Path, run_id: str) -> Summary:
        """Run the same jobs in this process, without Prefect or Ray."""
        request = Request(str(store), str(self.weights), jobs=str(self.request), run_id=run_id)
        return animate_locally(request)

    def processes(self) -> list[psutil.Process]:
        """Return the running processes that were started from this workspace."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == str(self.folder) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found


def prepare(
    folder: Path, portraits: int = 3, clips: int = 2, frames: int = 10, *, dubbed: bool = False, at_once: int = 1
) -> Workspace:
    """Create a workspace with drawn portraits and clips, and a job for every pair of them.

    Args:
        dubbed: whether every picture of the first clip has a second film.
        at_once: see `Workspace`.
    """
    cast = folder / "cast"
    for place in (cast, folder / "tmp"):
        place.mkdir(parents=True)
    init_weights(folder / "weights", 0, QUICK)
    for number in range(portraits):
        write_portrait(cast / f"p{number}.png", number)
    for number in range(clips):
        write_clip(cast / f"c{number}.mp4", frames=frames + number, rate="25")
    names = [(f"p{p}", f"c{c}") for p in range(portraits) for c in range(clips)]
    rows = [{"portrait": f"{p}.png", "driving": f"{c}.mp4", "job_id": p + c, "preset": "draft"} for p, c in names]
    if dubbed:
        write_sound(cast / "dub.wav", frames / 25)
        rows += [row | {"job_id": row["job_id"] + ".fr", "audio": "dub.wav"} for row in rows if "c0" in row["driving"]]
    (cast / "jobs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Workspace(folder, len(rows), at_once)


@contextmanager
def server(workspace: Workspace) -> Iterator[str]:
    """Run a Prefect server that all runs use, so that they need not start their own."""
    os.environ.update(PREFECT_HOME=str(workspace.folder / "prefect"), PREFECT_SERVER_ANALYTICS_ENABLED="false")
    from prefect.settings import PREFECT_API_URL

    from flows.server.prefect_server import prefect_server

    with prefect_server():
        address = str(PREFECT_API_URL.value())
        workspace.variables["PREFECT_API_URL"] = address
        try:
            yield address
        finally:
            workspace.variables.pop("PREFECT_API_URL", None)


def stable_rows(store: Path, run_id: str) -> dict[str, dict[str, Any]]:
    """Return a manifest's rows by job, without their volatile columns; check every file against its row."""
    rows = {}
    for row in pq.read_table(store / "runs" / run_id / "manifest.parquet").to_pylist():
        if row["full_uri"]:
            assert file_sha256(Path(row["full_uri"])) == row["checksum"], f"{row['full_uri']} is not what its row says"
            assert Path(row["full_uri"]).stat().st_size == row["bytes"]
        plain = {name: _relative(value, store) for name, value in row.items() if name not in VOLATILE_COLUMNS}
        rows[row["job_id"]] = {name: value for name, value in plain.items() if not name.startswith("seconds_")}
    return rows


def records(store: Path, folder: str = "renders") -> Mapping[str, bytes]:
    """Return the record of every film in the store; with `cache/pictures`, of every picture."""
    return {path.parent.name: path.read_bytes() for path in store.glob(f"{folder}/*/render.json")}


def wait_until(condition: Callable[[], bool], seconds: float, process: subprocess.Popen[bytes] | None = None) -> bool:
    """Return whether the condition becomes true in time, before the process ends."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        if process is not None and process.poll() is not None:
            return False
        time.sleep(0.02)
    return False


def _relative(value: Any, store: Path) -> Any:
    return value.replace(str(store), "") if isinstance(value, str) else value
