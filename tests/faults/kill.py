"""Runs are killed at random moments and resumed; what comes out is what an undisturbed run makes.

Every seed chooses a victim (the run's own process, a process with an actor, any process of Ray's, the Prefect server)
and a moment between the run's first sign of life in the store and its end; with `--at-once N`, a moment at which a
worker has N unfinished pictures, or the round fails. Then the run is resumed under its name until it ends well. Its
manifest has to be that of an undisturbed run but for times, places and ids; every file has to
have its checksum; what was published when the victim died has to stay as it was, byte by byte, and no work may go
into it again: the denoiser's evaluations of the last attempt are those of the missing pictures.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Container
from contextlib import suppress
from pathlib import Path
from random import Random

import psutil

from catalogs.store.renders import PICTURES
from tests.faults.harness.at_once import rendering
from tests.faults.harness.seeds import run_seeds
from tests.faults.harness.workspace import Workspace, prepare, records, server, stable_rows, wait_until

VICTIMS = ("driver", "actor", "ray", "server")
MOST_ATTEMPTS = 4


def victims(workspace: Workspace, driver: int) -> dict[str, list[psutil.Process]]:
    """The processes of a run, by what they are."""
    found: dict[str, list[psutil.Process]] = {name: [] for name in VICTIMS}
    found["driver"] = [psutil.Process(driver)]
    for process in workspace.processes() if driver else []:
        line = " ".join(process.cmdline())
        if process.pid == driver:
            continue
        if "ray::_Worker" in line:
            found["actor"].append(process)
            found["ray"].append(process)
        elif "ray" in line and "prefect_server" not in line:
            found["ray"].append(process)
        elif "prefect_server" in line:
            found["server"].append(process)
    found["ray"] += [p for p in psutil.Process(driver).children(recursive=True) if "ray" in p.name()]
    return found


def _acting(workspace: Workspace) -> bool:
    """Whether actors run."""
    for process in workspace.processes():
        with suppress(psutil.Error):
            if "ray::_Worker" in " ".join(process.cmdline()):
                return True
    return False


def _overlapping(workspace: Workspace, before: Container[Path]) -> bool:
    """Whether as many pictures are rendered as may be at once; always, where that is one."""
    return workspace.at_once == 1 or rendering(workspace.scratch, before).total() >= workspace.at_once


def undisturbed(workspace: Workspace) -> tuple[dict[str, dict[str, object]], float]:
    """Run to the end; the manifest's rows, and the seconds from the first moment to kill at to the last."""
    store, log, before = workspace.folder / "whole", workspace.folder / "log", {*workspace.scratch.iterdir()}
    started = time.monotonic()
    run = workspace.start(str(store), "run", log)
    assert wait_until((store / "runs" / "run" / "run.json").exists, 180, run), log.read_text()
    moments = []
    while run.poll() is None:
        if _overlapping(workspace, before):
            moments.append(time.monotonic())
        time.sleep(0.05)
    assert run.returncode == 0, log.read_text()
    assert moments, f"never {workspace.at_once} pictures at once"
    rows, seconds = stable_rows(store, "run"), moments[-1] - moments[0]
    of_them = f", {seconds:.1f} s of them with {workspace.at_once} pictures at once" if workspace.at_once > 1 else ""
    print(f"undisturbed: {len(rows)} jobs in {time.monotonic() - started:.1f} s{of_them}", flush=True)
    return rows, seconds


def round_of(workspace: Workspace, seed: int, whole: dict[str, dict[str, object]], seconds: float) -> str:
    """Kill, resume, compare; what happened, in a line."""
    random = Random(seed)
    victim, moment = VICTIMS[seed % len(VICTIMS)], random.uniform(0, seconds)
    store, log = workspace.folder / f"store-{seed}", workspace.folder / f"log-{seed}"
    before = {*workspace.scratch.iterdir()}
    if victim == "server":
        workspace.variables.pop("PREFECT_API_URL", None)  # the run starts its own server then
    run = workspace.start(str(store), "run", log)
    assert wait_until((store / "runs" / "run" / "run.json").exists, 180, run), log.read_text()
    wait_until(lambda: _overlapping(workspace, before), 180, run)
    time.sleep(moment)
    killed = "nothing: the run was over"
    found: list[psutil.Process] = []

    def victim_found() -> bool:
        with suppress(psutil.Error):
            found[:] = victims(workspace, run.pid)[victim]
        return bool(found)

    wait_until(victim_found, 180, run)
    # Last: a picture may have been finished meanwhile.
    overlapping = wait_until(lambda: _overlapping(workspace, before), 180, run)
    unfinished = rendering(workspace.scratch, before).total()
    if found:
        target = random.choice(found)
        with suppress(psutil.Error):  # it may have ended by itself
            name = " ".join(target.cmdline())[:40] or target.name()
            target.kill()
            killed = f"{victim} {name}"
    if not overlapping or unfinished < workspace.at_once > 1:
        run.kill()
        raise AssertionError(f"seed {seed}: {unfinished} pictures were being rendered, not {workspace.at_once}")
    published, code = {}, None
    deadline = time.monotonic() + 300
    while (code := run.poll()) is None and time.monotonic() < deadline:
        published = records(store)
        time.sleep(0.05)
    if code is None:
        run.kill()
        raise AssertionError(f"seed {seed}: the run hangs after {killed}\n{log.read_text()}")
    published, attempts, computed = dict(records(store)), 1, 0
    while code != 0:
        attempts += 1
        assert attempts <= MOST_ATTEMPTS, f"seed {seed}: exit code {code} again\n{log.read_text()}"
        # An actor whose driver was killed may publish what it has just done, before Ray ends it.
        assert wait_until(lambda: not _acting(workspace), 60), f"seed {seed}: actors outlive their driver"
        before = records(store, PICTURES)
        code = workspace.run(str(store), "run", log)
        if code == 0:
            made = len(records(store, PICTURES)) - len(before)
            evaluations = int(re.findall(r"(\d+) denoiser evaluations", log.read_text())[-1])
            computed = evaluations
            assert (evaluations > 0) is (made > 0), f"seed {seed}: {made} pictures, {evaluations} evaluations"
    after = records(store)
    assert all(after[key] == text for key, text in published.items()), f"seed {seed}: a published render has changed"
    assert stable_rows(store, "run") == whole, f"seed {seed}: another manifest"
    assert not list(store.rglob(".*.part")) or victim in ("driver", "ray", "actor")
    return (
        f"seed {seed}: killed {killed} after {moment:.1f} s with {unfinished} pictures being rendered and "
        f"{len(published)} of {len(whole)} renders published; {attempts} attempts, the last with {computed} evaluations"
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the rounds; the exit code is 1 if one of them fails."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0-3", help="FIRST-LAST, both included")
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="pictures that a worker renders at once")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="tf-") as folder:
        workspace = prepare(Path(folder), dubbed=True, at_once=chosen.at_once)
        with server(workspace) as address:
            whole, seconds = undisturbed(workspace)

            def trial(seed: int) -> str:
                workspace.variables["PREFECT_API_URL"] = address
                return round_of(workspace, seed, whole, seconds)

            failed = run_seeds(chosen.seeds, trial)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
