"""A few faults of every kind; the commands of this folder run more of them, with seeds."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from tasks.steps.specs import Done, TrackSpec
from tasks.steps.workers import PreprocessWorker
from tests.faults.harness.at_once import count_at_once, rendering_at_once
from tests.faults.harness.workspace import TROUPE, Workspace, prepare, records, stable_rows, wait_until
from tests.faults.integrity import prepare as prepare_damage
from tests.faults.integrity import run_seed
from tests.faults.storm import storm

pytestmark = pytest.mark.long

DEADLY = "deadly"


class CrashingPreprocessWorker(PreprocessWorker):
    """A worker whose detector crashes on some clips."""

    def track(self, order: TrackSpec) -> Done:
        """Track the clip, or crash."""
        if DEADLY in order.clip.uri:
            ctypes.string_at(0)
        return super().track(order)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Create a workspace with two portraits and one clip."""
    return prepare(tmp_path_factory.mktemp("ground") / "g", portraits=2, clips=1)


@pytest.mark.usefixtures("ray_session")
def test_a_clip_that_crashes_the_detector_among_good_ones(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.observe.progress import Listeners
    from flows.steps import execute
    from tasks.run.request import Request

    monkeypatch.setattr("tasks.run.worker_roles.PreprocessWorker", CrashingPreprocessWorker)
    cast = workspace.request.parent
    (tmp_path / f"{DEADLY}.mp4").write_bytes((cast / "c0.mp4").read_bytes() + b"\0")
    good = int(os.environ.get("TROUPE_GOOD_JOBS", "3"))
    rows: list[dict[str, Any]] = [
        {"job_id": f"good{n}", "portrait": f"{cast}/p0.png", "driving": f"{cast}/c0.mp4", "seed": n}
        for n in range(good)
    ]
    rows.insert(1, {"job_id": "bad", "portrait": f"{cast}/p0.png", "driving": f"{tmp_path}/{DEADLY}.mp4"})
    (tmp_path / "jobs.jsonl").write_text("".join(json.dumps(row | {"preset": "draft"}) + "\n" for row in rows))
    request = Request(str(tmp_path / "store"), str(workspace.weights), jobs=str(tmp_path / "jobs.jsonl"))
    with rendering_at_once(3), count_at_once(workspace.scratch) as most:
        summary = execute(request, Listeners(), ray=True)
    assert max(most.values()) == 3, "all good ones were rendered at once"
    assert summary.counts == {"done": good, "failed": 1}
    ended = {row["job_id"]: row for row in pq.read_table(summary.manifest).to_pylist()}
    assert ended["bad"]["error_kind"] == "worker_lost"
    assert "died in track 2 times" in ended["bad"]["error"]
    assert all(row["attempts"] == 1 for job, row in ended.items() if job != "bad"), "no render was a suspect"


def test_a_killed_run_resumes_with_the_same_result(workspace: Workspace, tmp_path: Path) -> None:
    whole, store, log = tmp_path / "whole", tmp_path / "store", tmp_path / "log"
    workspace.run_in_process(whole, "run")
    run = workspace.start(str(store), "run", log, "--local")
    assert wait_until(lambda: len(records(store)) == 1, 120, run), log.read_text()
    run.send_signal(signal.SIGKILL)
    run.wait(60)
    published = records(store)
    workspace.run_in_process(store, "run")
    after = records(store)
    assert len(after) == workspace.jobs
    assert all(after[key] == text for key, text in published.items())
    assert stable_rows(store, "run") == stable_rows(whole, "run")


def test_a_run_whose_ray_died_ends_and_resumes(tmp_path: Path) -> None:
    """Seed 18 of `tests.faults.kill`: without its node Ray let the run wait forever."""
    with tempfile.TemporaryDirectory(prefix="tf-") as folder:  # the paths of Ray's sockets have to be short
        _let_ray_die(prepare(Path(folder) / "g", portraits=2, clips=1), tmp_path)


def _let_ray_die(workspace: Workspace, tmp_path: Path) -> None:
    whole, store, log = tmp_path / "whole", tmp_path / "store", tmp_path / "log"
    workspace.run_in_process(whole, "run")
    run = workspace.start(str(store), "run", log)
    found: list[psutil.Process] = []

    def actors_run() -> bool:
        processes = psutil.Process(run.pid).children(recursive=True)
        found[:] = [process for process in processes if process.name() == "raylet"]
        return bool(found) and any("ray::_Worker" in process.name() for process in processes)

    assert wait_until(actors_run, 120, run), log.read_text()
    found[0].kill()
    assert run.wait(120) == 3, log.read_text()
    assert "Ray has died or was stopped on this machine" in log.read_text()
    assert not workspace.processes()
    workspace.run_in_process(store, "run")
    assert stable_rows(store, "run") == stable_rows(whole, "run")


def test_a_stormy_endpoint_and_two_drivers(workspace: Workspace, s3: str) -> None:
    report = storm(workspace, s3, seed=3)
    assert "500" in report, report


def test_damage_to_a_store_is_reported_and_repaired(tmp_path: Path) -> None:
    truth = prepare_damage(tmp_path / "base")
    for seed in range(4):
        assert run_seed(tmp_path / "base", truth, seed).wrong == [], seed


SMALL = "mount -t tmpfs -o size={size} none {folder} && exec {command}"


def run_on_a_small_disk(workspace: Workspace, folder: Path, size: str, store: Path, log: Path, **variables: str) -> int:
    """Run `troupe run` where a folder is a small disk, in a separate mount namespace."""
    words = [
        "run",
        str(workspace.request),
        "--weights",
        str(workspace.weights),
        "--store",
        str(store),
        "--run-id",
        "run",
    ]
    shell = SMALL.format(size=size, folder=folder, command='"$@"')
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", shell, "sh", *TROUPE, *words, "--local"]
    with log.open("ab") as out:
        environment = workspace.environment() | variables
        return subprocess.run(command, stdout=out, stderr=out, env=environment, check=False, timeout=240).returncode


@pytest.mark.parametrize("where", ["temporary folder", "store"])
def test_a_full_disk(workspace: Workspace, tmp_path: Path, where: str) -> None:
    probe = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", str(tmp_path)]
    if sys.platform != "linux" or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here: a small disk needs one")
    store, scratch, log = tmp_path / "store", tmp_path / "scratch", tmp_path / "log"
    store.mkdir()
    scratch.mkdir()
    if where == "store":
        (store / "renders").mkdir()
        code = run_on_a_small_disk(workspace, store / "renders", "16k", store, log)
    else:
        code = run_on_a_small_disk(workspace, scratch, "64k", store, log, TMPDIR=str(scratch))
    text = log.read_text()
    assert code == 2, text
    assert "Traceback" not in text, text
    assert "make room" in text, text
    assert records(store) == {}
    assert not list(store.rglob(".*.part"))
    workspace.run_in_process(store, "run")
    assert {row["status"] for row in stable_rows(store, "run").values()} == {"done"}
